"""Tracker `pac`: the device's exact counters, the oracle that others are judged by.

No hardware that could be sold has them: a counter per page of a terabyte does
not fit a controller. With lines wanted, exact word counts stand in for HWT.
"""

from __future__ import annotations

from dataclasses import replace

from tiermem.layer.tracker_config import DeviceConfig, ListKind
from tiermem.m5.trackers import register_tracker
from tiermem.m5.trackers.device import DeviceTracker


@register_tracker("pac")
class PacTracker(DeviceTracker):
    """The device with PAC in the place of HPT, and WAC in that of HWT."""

    name = "pac"

    @property
    def kinds(self) -> tuple[ListKind, ...]:
        """See DeviceTracker.kinds."""
        return (
            *((ListKind.PAC,) if self._place.wants_pages else ()),
            *((ListKind.WAC,) if self._place.wants_lines else ()),
        )

    def wanted_config(self, found: DeviceConfig) -> DeviceConfig:
        """See DeviceTracker.wanted_config: the sketches stay as they are."""
        return replace(self._with_ranges(found), exact=found.exact | frozenset(self.kinds))
