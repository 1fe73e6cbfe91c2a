"""Synthetic traces: patterns of page and line popularity, made from a seed.

A pattern draws pages from a footprint and, in each page, lines; a chunk of
records is drawn at a time, so that a long trace needs no memory. The same
settings always give the same records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.errors import ConfigError
from tiermem.m5.hotlist import LINE_SHIFT, LINES_PER_PAGE, PAGE_SHIFT
from tiermem.native.models import U64
from tiermem.replay.trace import CHUNK_RECORDS, GAP_MAX, encode

I64 = npt.NDArray[np.int64]
Draw = Callable[[np.random.Generator, int, int], I64]
"""(random generator, first record's number, how many) to page numbers."""

FIRST_PAGE = 1 << 20
"""Where the footprint lies in the virtual address space: 4 GiB, out of the way of zero."""


@dataclass(frozen=True, slots=True)
class PatternSettings:
    """What every pattern takes.

    write_share: of accesses. gap: instructions per access. lines: distinct
    lines used of each page (few lines: sparse pages, as key-value stores have).
    skew: exponent of zipf. hot_share: of the pages, for the hot-set patterns;
    hot_weight: of the accesses that go there. moves: how often the hot set moves.
    """

    pages: int = 65536
    records: int = 50_000_000
    seed: int = 1
    write_share: float = 0.1
    gap: int = 30
    lines: int = LINES_PER_PAGE
    skew: float = 0.99
    hot_share: float = 0.1
    hot_weight: float = 0.9
    moves: int = 1


def _uniform(settings: PatternSettings) -> Draw:
    """Every page alike: nothing to gain."""
    return lambda rng, _, n: rng.integers(0, settings.pages, n)


def _scan(settings: PatternSettings) -> Draw:
    """Line after line over the whole footprint, again and again: nothing to gain."""
    return lambda _, first, n: np.arange(first, first + n) // settings.lines % settings.pages


def _zipf(settings: PatternSettings) -> Draw:
    """Popularity by rank to the power of -skew, ranks scattered over the footprint."""
    ranks = np.arange(1, settings.pages + 1, dtype=np.float64)
    weights = np.power(ranks, -settings.skew)
    threshold, other = _alias_table(weights)
    scattered = np.random.default_rng(settings.seed).permutation(settings.pages)

    def draw(rng: np.random.Generator, _: int, n: int) -> I64:
        column = rng.integers(0, settings.pages, n)
        stays = rng.random(n) < threshold[column]
        return scattered[np.where(stays, column, other[column])]

    return draw


def _alias_table(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], I64]:
    """Walker's alias method: column c gives c below threshold[c], else other[c]."""
    scaled = weights * (weights.size / weights.sum())
    threshold, other = np.ones(weights.size), np.arange(weights.size)
    small = np.flatnonzero(scaled < 1.0).tolist()
    large = np.flatnonzero(scaled >= 1.0).tolist()
    while small and large:
        low, high = small.pop(), large[-1]
        threshold[low], other[low] = scaled[low], high
        scaled[high] -= 1.0 - scaled[low]
        if scaled[high] < 1.0:
            small.append(large.pop())
    return threshold, other


def _moving_hotset(settings: PatternSettings) -> Draw:
    """A hot set that jumps to other pages `moves` times, at even intervals."""
    hot = max(1, round(settings.pages * settings.hot_share))
    phase = -(-settings.records // (settings.moves + 1))

    def draw(rng: np.random.Generator, first: int, n: int) -> I64:
        start = (np.arange(first, first + n) // phase) * hot
        is_hot = rng.random(n) < settings.hot_weight
        offset = np.where(is_hot, rng.integers(0, hot, n), rng.integers(0, settings.pages, n))
        # The footprint ends hot-set first, so that page order favours no phase.
        return settings.pages - 1 - (start * is_hot + offset) % settings.pages

    return draw


def _hotset(settings: PatternSettings) -> Draw:
    """A hot set that stays where it is, at the end of the footprint."""
    hot = max(1, round(settings.pages * settings.hot_share))

    def draw(rng: np.random.Generator, _: int, n: int) -> I64:
        is_hot = rng.random(n) < settings.hot_weight
        offset = np.where(is_hot, rng.integers(0, hot, n), rng.integers(0, settings.pages, n))
        return settings.pages - 1 - offset

    return draw


def _scan_over_hotset(settings: PatternSettings) -> Draw:
    """The hot set of `hotset`, while a scan goes over everything: a policy must not chase it."""
    hotset, scan = _hotset(settings), _scan(settings)

    def draw(rng: np.random.Generator, first: int, n: int) -> I64:
        return np.where(rng.random(n) < 0.5, hotset(rng, first, n), scan(rng, first, n))

    return draw


PATTERNS: dict[str, Callable[[PatternSettings], Draw]] = {
    "uniform": _uniform,
    "scan": _scan,
    "zipf": _zipf,
    "hotset": _hotset,
    "moving-hotset": _moving_hotset,
    "scan-over-hotset": _scan_over_hotset,
}


class Pattern:
    """A synthetic trace; fulfils `Trace`."""

    first_page = FIRST_PAGE
    dropped = 0

    def __init__(self, name: str, settings: PatternSettings) -> None:
        """ConfigError for a name that is not in PATTERNS, or a value out of range."""
        if name not in PATTERNS:
            raise ConfigError(f"--synthetic {name}: is not known; allowed: {', '.join(PATTERNS)}")
        _check(settings)
        self.name = name
        self.settings = settings
        self.pages = settings.pages
        self.records = settings.records

    def chunks(self) -> Iterator[U64]:
        """See Trace.chunks."""
        settings = self.settings
        draw = PATTERNS[self.name](settings)
        rng = np.random.default_rng([settings.seed, 1])
        for first in range(0, settings.records, CHUNK_RECORDS):
            n = min(CHUNK_RECORDS, settings.records - first)
            pages = draw(rng, first, n)
            addresses = (pages + FIRST_PAGE) << PAGE_SHIFT | self._lines(rng, pages, first, n)
            writes = rng.random(n, dtype=np.float32) < settings.write_share
            gaps = np.full(n, settings.gap)
            yield encode(addresses.astype(np.uint64), writes, gaps)

    def _lines(self, rng: np.random.Generator, pages: I64, first: int, n: int) -> I64:
        lines = self.settings.lines
        if self.name == "scan":
            used = np.arange(first, first + n) % lines
        else:
            used = rng.integers(0, lines, n)
        # Another subset of lines in each page: as records lie in real pages.
        return np.asarray((used + pages * 7) % LINES_PER_PAGE << LINE_SHIFT, dtype=np.int64)

    def locate(self, record: int) -> str:
        """See Trace.locate."""
        return f"synthetic {self.name}: record {record}"


def _check(settings: PatternSettings) -> None:
    checks = (
        ("pages", settings.pages, 1, 1 << 28),
        ("records", settings.records, 1, 1 << 40),
        ("write_share", settings.write_share, 0, 1),
        ("gap", settings.gap, 0, GAP_MAX),
        ("lines", settings.lines, 1, LINES_PER_PAGE),
        ("skew", settings.skew, 0, 10),
        ("hot_share", settings.hot_share, 0, 1),
        ("hot_weight", settings.hot_weight, 0, 1),
        ("moves", settings.moves, 0, 1000),
    )
    for name, value, low, high in checks:
        if not low <= value <= high:
            raise ConfigError(f"synthetic trace: {name} = {value}: {low}..{high} is allowed")
