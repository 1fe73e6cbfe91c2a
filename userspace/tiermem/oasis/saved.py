"""What oasisd keeps over a restart: the instances of this host, and what people asked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tiermem.oasis.names import DeviceName
from tiermem.oasis.net.tap import TapSettings


class SavedInstance(BaseModel):
    """An instance that wants a NIC. wish: the device that it was asked to be on."""

    model_config = ConfigDict(frozen=True)

    number: int
    tap: TapSettings
    expected_Bps: int  # noqa: N815
    wish: DeviceName | None = None

    @property
    def name(self) -> str:
        """As people call it: NAMESPACE/INTERFACE."""
        return f"{self.tap.namespace or ''}/{self.tap.name}"


class Saved(BaseModel):
    """All of it. life: of the daemon that saved it. draining: NICs of this host, by their
    interfaces."""

    life: int = 0
    instances: tuple[SavedInstance, ...] = ()
    draining: frozenset[str] = frozenset()
