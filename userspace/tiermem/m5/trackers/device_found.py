"""What the tracker device was found to be, as a note that outlives a killed daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tiermem.layer.tracker_config import DeviceConfig
from tiermem.layer.tracker_device import DeviceState


@dataclass(frozen=True, slots=True)
class DeviceFound:
    """`config` and `state` were found; `ours` is the configuration that it was given then."""

    config: DeviceConfig
    state: DeviceState
    ours: DeviceConfig

    def to_note(self) -> Any:
        """This as JSON-able values."""
        return _ADAPTER.dump_python(self, mode="json")

    def is_current(self, config: DeviceConfig) -> bool:
        """Whether a device that says `config` is still as we left it, or not yet changed."""
        return config in (self.ours, self.config)


_ADAPTER = TypeAdapter(DeviceFound)


def from_note(note: Any) -> DeviceFound | None:
    """What `to_note` wrote; None for no note, or one that this version cannot read."""
    if note is None:
        return None
    try:
        return _ADAPTER.validate_python(note)
    except ValidationError:
        return None
