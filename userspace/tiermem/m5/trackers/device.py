"""Tracker `device`: hot pages and hot words from the HPT/HWT hardware.

The device is asked once a round, so that its counts are those of the round.
On start it is told the trackers' shapes, which addresses are slow memory, and
is armed; on stop it gets back what it had. It may come and go while the daemon
runs (module reloaded, function unbound): every call says so by an error.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np

from tiermem.errors import KernelError, MissingError, TiermemError
from tiermem.layer.clock_page import ClockPage
from tiermem.layer.tracker_config import (
    Algorithm,
    DeviceConfig,
    ListKind,
    TierRange,
    TrackerConfig,
)
from tiermem.layer.tracker_device import DeviceState, TrackerDevice
from tiermem.m5.hotlist import HotList, Unit
from tiermem.m5.monitor import TierTraffic, Traffic, TrafficSource
from tiermem.m5.settings import SketchSettings
from tiermem.m5.trackers import TrackerPlace, register_tracker
from tiermem.m5.trackers.device_found import DeviceFound, from_note

_ALGORITHMS = {
    "cm-sketch": Algorithm.CM_SKETCH,
    "space-saving": Algorithm.SPACE_SAVING,
}
_UNITS = {
    ListKind.HPT: Unit.PAGE,
    ListKind.PAC: Unit.PAGE,
    ListKind.HWT: Unit.LINE,
    ListKind.WAC: Unit.LINE,
}
FAST_TIER, SLOW_TIER = 0, 1


class DeviceTraffic:
    """The clock page as the monitor's source."""

    def __init__(self) -> None:
        self.clock: ClockPage | None = None

    def read_traffic(self) -> Traffic | None:
        """None while the device is absent or its clock stands."""
        clock = self.clock
        if clock is None or not clock.is_armed():
            return None
        fast, slow = clock.tier_reads(FAST_TIER), clock.tier_reads(SLOW_TIER)
        return Traffic(TierTraffic(*fast), TierTraffic(*slow))


@register_tracker("device")
class DeviceTracker:
    """See the module. Which kinds are asked for follows from the nominator's mode."""

    name = "device"

    def __init__(self, place: TrackerPlace) -> None:
        self._place = place
        self._source = DeviceTraffic()
        self.traffic: TrafficSource = self._source
        self.shortest_round_ns = 0
        self.read_Bps_estimate: tuple[float, float] | None = None
        self._device: TrackerDevice | None = None
        self._found: DeviceFound | None = None
        self._last_ns = 0

    @property
    def kinds(self) -> tuple[ListKind, ...]:
        """The lists to ask for each round."""
        return (
            *((ListKind.HPT,) if self._place.wants_pages else ()),
            *((ListKind.HWT,) if self._place.wants_lines else ()),
        )

    def wanted_config(self, found: DeviceConfig) -> DeviceConfig:
        """What the device is to be told, given what it was told before."""
        settings = self._place.settings
        return replace(
            self._with_ranges(found),
            hpt=_tracker_config(settings.hpt, self._place.wants_pages),
            hwt=_tracker_config(settings.hwt, self._place.wants_lines),
        )

    def start(self) -> None:
        """Configure and arm. MissingError where there is no device or no model behind it."""
        device = TrackerDevice(self._place.settings.device)
        try:
            info = device.info()
            if info.state is DeviceState.ABSENT:
                raise MissingError(
                    f"{self._place.settings.device}: the device is there, its model is not; "
                    "start the machine with the tracker plugin"
                )
            lacking = [kind.name for kind in self.kinds if kind not in info.kinds]
            if lacking:
                raise MissingError(f"{device.path}: the device has no {', '.join(lacking)} lists")
            self._configure(device, info.state)
            self._source.clock = device.clock()
        except TiermemError:
            device.close()
            raise
        self._device = device
        self._last_ns = time.monotonic_ns()

    def _configure(self, device: TrackerDevice, state: DeviceState) -> None:
        now = device.config()
        wanted = self.wanted_config(now) if self._place.settings.configure else now
        found = self._found_before(now, state)
        self._remember(found, wanted)
        if wanted != now:
            device.set_config(wanted)
            self._remember(found, device.config())
        if state is not DeviceState.ARMED:
            device.arm()
        device.clear(self.kinds)

    def _found_before(self, now: DeviceConfig, state: DeviceState) -> DeviceFound:
        """What was there before the first change: of this run, or of one that was killed.

        Our own configuration must not be taken for the one found.
        """
        if self._found is not None:
            return self._found
        noted = from_note(self._place.found.of(self._source_name))
        if noted is not None and noted.is_current(now):
            return noted
        return DeviceFound(now, state, now)

    def _remember(self, found: DeviceFound, ours: DeviceConfig) -> None:
        self._found = replace(found, ours=ours)
        self._place.found.note(self._source_name, self._found.to_note())

    @property
    def _source_name(self) -> str:
        return str(self._place.settings.device)

    def _with_ranges(self, found: DeviceConfig) -> DeviceConfig:
        """`found`, told what is slow memory unless somebody has already."""
        slow = self._place.layout.slow_ranges
        if found.ranges and found.track_bytes:
            return found
        base, end = min(one.start for one in slow), max(one.end for one in slow)
        return replace(
            found,
            track_base=base,
            track_bytes=end - base,
            ranges=tuple(TierRange(one.start, one.bytes, SLOW_TIER) for one in slow),
        )

    def lists(self, now_ns: int) -> tuple[HotList, ...]:
        """One list of each kind since the last call; clears the device's counters."""
        if self._device is None:
            raise MissingError(f"{self._place.settings.device}: is not open")
        interval_ns = max(1, now_ns - self._last_ns)
        self._last_ns = now_ns
        return tuple(self._ask(self._device, kind, interval_ns) for kind in self.kinds)

    def _ask(self, device: TrackerDevice, kind: ListKind, interval_ns: int) -> HotList:
        entries = device.query(kind).entries
        return HotList(
            _UNITS[kind],
            np.ascontiguousarray(entries["address"]),
            np.ascontiguousarray(entries["count"]),
            interval_ns,
        )

    def stop(self) -> None:
        """Give back the configuration and the state that were found."""
        if self._source.clock is not None:
            self._source.clock.close()
            self._source.clock = None
        if self._device is None:
            return
        with suppress(KernelError):  # a device that has gone has nothing to give back
            self._give_back(self._device)
        self._device.close()
        self._device = None

    def _give_back(self, device: TrackerDevice) -> None:
        if self._found is None:
            return
        if device.config() != self._found.config:
            device.set_config(self._found.config)
        if self._found.state is not DeviceState.ARMED:
            device.disarm()
        self._place.found.drop(self._source_name)


def _tracker_config(settings: SketchSettings, enabled: bool) -> TrackerConfig:
    return TrackerConfig(
        enabled=enabled,
        algorithm=_ALGORITHMS[settings.algorithm],
        rows=settings.rows,
        columns=settings.columns,
        counter_bits=settings.counter_bits,
        entries=settings.entries,
    )
