"""Trackers: where hot lists come from, behind one small interface with a registry.

`device` is the HPT/HWT hardware, `pac` its exact counters (an oracle to judge
by), `damon` the kernel's own access monitor, for hosts without the device. To
add one (PEBS, CHMU, …), write a module here with a class that fulfils
`Tracker` and list it in `_BUILT_IN`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tiermem.errors import ConfigError
from tiermem.m5.hotlist import HotList
from tiermem.m5.layout import Layout
from tiermem.m5.monitor import TrafficSource
from tiermem.m5.settings import TrackerSettings
from tiermem.m5.trackers.found import Found


class Tracker(Protocol):
    """A source of hotness. `traffic` is what it knows of the tiers' load."""

    name: str
    traffic: TrafficSource
    shortest_round_ns: int
    """Asking more often than this brings nothing, or costs too much."""
    read_Bps_estimate: tuple[float, float] | None  # noqa: N815
    """(fast, slow) read bandwidth by the tracker's own evidence, where `traffic` has none."""

    def start(self) -> None:
        """Begin to track. MissingError or KernelError says what is in the way."""

    def lists(self, now_ns: int) -> tuple[HotList, ...]:
        """What was hot since the last call; KernelError when the source is gone."""

    def stop(self) -> None:
        """Leave the source as `start` found it; harmless when it is gone already."""


@dataclass(frozen=True, slots=True)
class TrackerPlace:
    """What a tracker needs to know: its settings, the tiers, which lists are wanted.

    In `found` it notes what it must give back, before it changes it.
    """

    settings: TrackerSettings
    layout: Layout
    wants_pages: bool
    wants_lines: bool
    sysfs: Path = Path("/sys")
    found: Found = field(default_factory=Found)


TrackerFactory = Callable[[TrackerPlace], Tracker]
_BUILT_IN = {
    "device": "tiermem.m5.trackers.device",
    "pac": "tiermem.m5.trackers.pac",
    "damon": "tiermem.m5.trackers.damon",
}
_REGISTRY: dict[str, TrackerFactory] = {}


def register_tracker(name: str) -> Callable[[TrackerFactory], TrackerFactory]:
    """Class decorator: make a tracker known by a short name."""

    def add(factory: TrackerFactory) -> TrackerFactory:
        if name in _REGISTRY:
            raise ValueError(f"tracker {name!r} is registered twice")
        _REGISTRY[name] = factory
        return factory

    return add


def tracker_names() -> list[str]:
    """Every name that `make_tracker` takes."""
    return sorted({*_BUILT_IN, *_REGISTRY})


def make_tracker(place: TrackerPlace) -> Tracker:
    """The tracker that the settings name; not started. ConfigError where there is none."""
    kind = place.settings.kind
    if kind in _BUILT_IN:
        importlib.import_module(_BUILT_IN[kind])
    if kind not in _REGISTRY:
        raise ConfigError(
            f"tracker.kind = {kind!r}: is not known; allowed: {', '.join(tracker_names())}"
        )
    return _REGISTRY[kind](place)
