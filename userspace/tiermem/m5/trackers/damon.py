"""Tracker `damon`: the kernel's access monitor over physical memory, through sysfs.

Works on any host of today whose kernel has DAMON_PADDR and DAMON_SYSFS. One
kdamond watches both tiers' addresses with a scheme that only takes statistics;
`lists` reads the regions it found accessed. A region stands for each of its
pages, and its access count for at least that many reads, so rates are a lower
bound. The regions of the fast tier give the policy its idea of what a page
that goes down would have been worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiermem.errors import KernelError, MissingError, TiermemError
from tiermem.layer.nodes import PhysRange
from tiermem.layer.sysfs import read_int
from tiermem.m5.hotlist import PAGE_BYTES, PAGE_SHIFT, HotList, Unit
from tiermem.m5.monitor import NoTraffic, TrafficSource
from tiermem.m5.observation import LINE_BYTES
from tiermem.m5.trackers import TrackerPlace, register_tracker

ADMIN = "kernel/mm/damon/admin/kdamonds"
_SOURCE = "damon"
# Of equally hot regions, those that a list has no room for are others each time,
# so that no page is seen in list after list: room for more than one round promotes.
LIST_PAGES_MAX = 1 << 14


@dataclass(frozen=True, slots=True)
class Region:
    """Physical addresses [start, end) and in how many samples of an aggregation they were hit."""

    start: int
    end: int
    nr_accesses: int

    @property
    def pages(self) -> int:
        """Whole pages inside."""
        return (self.end >> PAGE_SHIFT) - (self.start >> PAGE_SHIFT)


@register_tracker("damon")
class DamonTracker:
    """See the module. `read_Bps_estimate` is the (fast, slow) load that the regions imply."""

    name = "damon"

    def __init__(self, place: TrackerPlace) -> None:
        self.traffic: TrafficSource = NoTraffic()
        self._settings = place.settings.damon
        # Reading a region costs four small files; once a second is cheap enough.
        self.shortest_round_ns = max(1_000_000_000, self._settings.aggregate_us * 1000)
        self._place = place
        self._admin = place.sysfs / ADMIN
        self._running = False
        self.read_Bps_estimate: tuple[float, float] | None = None

    def start(self) -> None:
        """Make one kdamond and turn it on. Refuses while somebody else uses DAMON's sysfs.

        The kdamond of a run that was killed is taken away first.
        """
        if not self._admin.is_dir():
            raise MissingError(
                f"{self._admin}: not there; tracker 'damon' needs a kernel with CONFIG_DAMON_SYSFS "
                "and CONFIG_DAMON_PADDR, and root"
            )
        if self._get("nr_kdamonds") != "0" and self._is_left_over():
            self._take_down()
        if self._get("nr_kdamonds") != "0":
            raise TiermemError(
                f"{self._admin}: {self._get('nr_kdamonds')} kdamonds are in use by another "
                "program; stop it (damo stop) or choose another tracker"
            )
        self._place.found.note(_SOURCE, True)
        try:
            self._set("nr_kdamonds", 1)
        except KernelError:
            self._place.found.drop(_SOURCE)
            raise
        self._running = True
        try:
            self._describe()
            self._set("0/state", "on")
        except TiermemError:
            self.stop()
            raise

    def _describe(self) -> None:
        settings = self._settings
        self._set("0/contexts/nr_contexts", 1)
        context = "0/contexts/0"
        self._set(f"{context}/operations", "paddr")
        attrs = f"{context}/monitoring_attrs"
        self._set(f"{attrs}/intervals/sample_us", settings.sample_us)
        self._set(f"{attrs}/intervals/aggr_us", settings.aggregate_us)
        self._set(f"{attrs}/intervals/update_us", 1_000_000)
        self._set(f"{attrs}/nr_regions/max", settings.max_regions)
        self._set(f"{attrs}/nr_regions/min", settings.min_regions)
        self._set(f"{context}/targets/nr_targets", 1)
        layout = self._place.layout
        spans = sorted(layout.slow_ranges + layout.fast_ranges)
        regions = f"{context}/targets/0/regions"
        self._set(f"{regions}/nr_regions", len(spans))
        for number, span in enumerate(spans):
            self._set(f"{regions}/{number}/start", span.start)
            self._set(f"{regions}/{number}/end", span.end)
        self._set(f"{context}/schemes/nr_schemes", 1)
        scheme = f"{context}/schemes/0"
        self._set(f"{scheme}/action", "stat")
        pattern = f"{scheme}/access_pattern"
        for key, low, high in (
            ("sz", PAGE_BYTES, 1 << 62),
            ("nr_accesses", 1, 1 << 30),
            ("age", 0, 1 << 30),
        ):
            self._set(f"{pattern}/{key}/min", low)
            self._set(f"{pattern}/{key}/max", high)

    def lists(self, now_ns: int) -> tuple[HotList, ...]:
        """Pages of the slow tier in accessed regions, hottest first, LIST_PAGES_MAX at most."""
        self._set("0/state", "update_schemes_tried_regions")
        regions = self._read_regions()
        aggregate_s = self._settings.aggregate_us / 1e6
        self.read_Bps_estimate = (
            _load_Bps(regions, self._place.layout.fast_ranges, aggregate_s),
            _load_Bps(regions, self._place.layout.slow_ranges, aggregate_s),
        )
        slow = [region for region in regions if _inside(region, self._place.layout.slow_ranges)]
        slow.sort(key=lambda region: -region.nr_accesses)
        return (_pages_of(slow, self._settings.aggregate_us * 1000),)

    def stop(self) -> None:
        """Turn the kdamond off and take it away."""
        if not self._running:
            return
        self._running = False
        self._take_down()

    def _is_left_over(self) -> bool:
        """Whether the one kdamond there is a killed run's, made whole or in part."""
        if not self._place.found.of(_SOURCE) or self._get("nr_kdamonds") != "1":
            return False
        if self._get("0/contexts/nr_contexts") == "0":
            return True
        schemes = self._get("0/contexts/0/schemes/nr_schemes")
        if schemes == "0":
            return True
        return schemes == "1" and self._get("0/contexts/0/schemes/0/action") == "stat"

    def _take_down(self) -> None:
        for key, value in (("0/state", "off"), ("nr_kdamonds", 0)):
            try:
                self._set(key, value)
            except KernelError:
                # Gone, or off already: what is left is tried all the same.
                continue
        if read_int(self._admin / "nr_kdamonds") == 0:
            self._place.found.drop(_SOURCE)

    def _read_regions(self) -> list[Region]:
        folder = self._admin / "0/contexts/0/schemes/0/tried_regions"
        try:
            return [
                Region(*(int((one / name).read_text()) for name in ("start", "end", "nr_accesses")))
                for one in folder.iterdir()
                if one.name.isdigit()
            ]
        except OSError as error:
            raise KernelError(f"read DAMON's regions in {folder}", error.errno or 0) from error

    def _get(self, key: str) -> str:
        try:
            return (self._admin / key).read_text().strip()
        except OSError as error:
            raise KernelError(f"read {self._admin}/{key}", error.errno or 0) from error

    def _set(self, key: str, value: int | str) -> None:
        try:
            Path(self._admin / key).write_text(str(value))
        except OSError as error:
            raise KernelError(f"write {value} to {self._admin}/{key}", error.errno or 0) from error


def _inside(region: Region, spans: tuple[PhysRange, ...]) -> bool:
    return any(span.start <= region.start < span.end for span in spans)


def _load_Bps(  # noqa: N802
    regions: list[Region], spans: tuple[PhysRange, ...], aggregate_s: float
) -> float:
    hits = sum(one.nr_accesses * one.pages for one in regions if _inside(one, spans))
    return hits * LINE_BYTES / aggregate_s


def _pages_of(regions: list[Region], interval_ns: int) -> HotList:
    """Every page of `regions`, in their order, as many as one list holds."""
    room = LIST_PAGES_MAX
    pages: list[np.ndarray] = [np.empty(0, dtype=np.uint64)]
    counts: list[np.ndarray] = [np.empty(0, dtype=np.uint64)]
    for region in regions:
        take = min(region.pages, room)
        first = region.start >> PAGE_SHIFT
        pages.append(np.arange(first, first + take, dtype=np.uint64))
        counts.append(np.full(take, region.nr_accesses, dtype=np.uint64))
        room -= take
        if room == 0:
            break
    addresses = np.concatenate(pages) << np.uint64(PAGE_SHIFT)
    return HotList(Unit.PAGE, addresses, np.concatenate(counts), interval_ns)
