"""What the storage engine adds to a block's read or write, and how many go through it.

The same file, past the page cache: by io_uring in the program itself, and through a link
to a backend in another process. They take turns in each round.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tiermem.layer.pool import create_pool, open_pool
from tiermem.oasis.storage.link import LinkSize, make_link

from bench.child import Child
from bench.processors import Placement, running_on
from bench.storage_host import SsdHost
from bench.storage_load import BLOCK_BYTES, DirectDisk, LinkedDisk, Load, write_numbered

DISK_BYTES = 256 << 20
DEPTHS = (1, 64)
OPERATIONS = {"read": False, "write": True}
DIRECT, AWAY, POOLED = "direct", "direct, away", "pooled"
BASELINES = (DIRECT, AWAY)
"""A program on the processor of the SSD's host, and on that of the other. A disk with one queue
interrupts one of them, and is slower to whoever runs on the other; the faster one counts, or
the engine would be credited with where its backend runs."""
WAYS = (*BASELINES, POOLED)
PERCENTILES = (50, 90, 99)
SIZE = LinkSize(tags=max(DEPTHS), block_bytes=BLOCK_BYTES, buffer_bytes=BLOCK_BYTES)
_AREA = "storage"
_IN_MEMORY = Path("/dev/shm")
_WARM_UP_S = 0.05


@dataclass(frozen=True)
class Blocks:
    """Random blocks, in one round, with so many in flight."""

    way: str
    round: int
    operation: str
    depth: int
    per_s: float
    percentiles_us: dict[int, float]


@dataclass(frozen=True)
class Way:
    """How blocks are reached, from which processor, and the process that serves them."""

    disk: DirectDisk | LinkedDisk
    cpu: int
    host: Child | None = None


@contextmanager
def disks(placement: Placement, folder: Path) -> Iterator[dict[str, Way]]:
    """All of WAYS, to a file that is made in `folder`."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        memory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
            )
        )
        disk = work / "disk"
        # Written, for a block that never was would be read without the device.
        write_numbered(disk, DISK_BYTES // BLOCK_BYTES)
        create_pool(memory / "pool", hosts=2, entries=8, size=2 * SIZE.bytes + (8 << 20))
        pool = stack.enter_context(open_pool(memory / "pool", 0, run_dir=memory / "run0"))
        area = stack.enter_context(pool.create_area(_AREA, SIZE.bytes))
        make_link(area, SIZE)
        host = stack.enter_context(
            Child("bench.storage_host", SsdHost(memory, _AREA, disk, DISK_BYTES, placement.backend))
        )
        direct = stack.enter_context(DirectDisk(disk))
        linked = stack.enter_context(LinkedDisk(area))
        yield {
            DIRECT: Way(direct, placement.backend),
            AWAY: Way(direct, placement.program),
            POOLED: Way(linked, placement.program, host),
        }


def measure(
    placement: Placement, folder: Path, rounds: int, seconds: float, advance: Callable[[str], None]
) -> list[Blocks]:
    """Every way in turns; `advance` is told of each step. TiermemError where one fails."""
    found: list[Blocks] = []
    seeds = itertools.count(1, 2)
    with disks(placement, folder) as ways:
        for number in range(rounds):
            for operation, is_write in OPERATIONS.items():
                for depth in DEPTHS:
                    for place in range(len(WAYS)):
                        name = WAYS[(number + place) % len(WAYS)]
                        advance(f"storage: {name}, {operation}, {depth} in flight")
                        # Never the same blocks again: whatever caches below would know them.
                        load = Load(
                            is_write, depth, DISK_BYTES // BLOCK_BYTES, seconds, next(seeds)
                        )
                        found.append(_turn(ways[name], (name, number, operation), load))
    return found


def _turn(way: Way, what: tuple[str, int, str], load: Load) -> Blocks:
    if way.host:
        way.host.resume()
    try:
        with running_on(way.cpu):
            way.disk.run(replace(load, seconds=_WARM_UP_S, seed=load.seed + 1))
            done = way.disk.run(load)
    finally:
        if way.host:
            way.host.pause()
    shares = np.percentile(done.latencies_ns, PERCENTILES) / 1000
    percentiles = dict(zip(PERCENTILES, shares.tolist(), strict=True))
    return Blocks(*what, load.depth, done.per_s, percentiles)


def steps(rounds: int) -> int:
    """How often `measure` advances."""
    return rounds * len(OPERATIONS) * len(DEPTHS) * len(WAYS)


def median(
    runs: Sequence[Blocks], way: str, operation: str, depth: int, value: Callable[[Blocks], float]
) -> float:
    """Over rounds."""
    return statistics.median(
        value(one) for one in runs if (one.way, one.operation, one.depth) == (way, operation, depth)
    )


def added_us(runs: Sequence[Blocks], operation: str, depth: int, percentile: int) -> float:
    """Over the faster of the baselines in the same round, the median over rounds."""
    by_round = {
        (one.way, one.round): one.percentiles_us[percentile]
        for one in runs
        if (one.operation, one.depth) == (operation, depth)
    }
    return statistics.median(
        value - min(by_round[baseline, number] for baseline in BASELINES)
        for (name, number), value in by_round.items()
        if name == POOLED
    )


def figures(runs: Sequence[Blocks]) -> dict[str, float]:
    """One block in flight, of reads or writes those for which more is added. The mean too:
    where the engine's threads lose their processors the median does not show it."""
    found = {
        f"storage_added_us_p{percentile}": max(
            added_us(runs, operation, 1, percentile) for operation in OPERATIONS
        )
        for percentile in PERCENTILES
    }
    return found | {"storage_added_us_mean": max(_mean_added_us(runs, one) for one in OPERATIONS)}


def _mean_added_us(runs: Sequence[Blocks], operation: str) -> float:
    times = {way: 1e6 / median(runs, way, operation, 1, lambda one: one.per_s) for way in WAYS}
    return times[POOLED] - min(times[one] for one in BASELINES)
