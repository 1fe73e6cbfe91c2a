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


class SavedVolume(BaseModel):
    """An instance that wants a slice of an SSD, as a block device.

    id: of its slice, which no other ever has, and by which its block device is found again.
    device: the SSD that it is asked of, or has it. has_data: the slice is there, and may have
    been written to. is_leaving: it is to be given back.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    name: str
    bytes: int
    id: int
    expected_iops: int = 0
    io_timeout_s: float = 0
    device: DeviceName | None = None
    has_data: bool = False
    is_leaving: bool = False


class Saved(BaseModel):
    """All of it. life: of the daemon that saved it. draining: NICs of this host, by their
    interfaces, and SSDs, by their paths."""

    life: int = 0
    instances: tuple[SavedInstance, ...] = ()
    volumes: tuple[SavedVolume, ...] = ()
    draining: frozenset[str] = frozenset()
