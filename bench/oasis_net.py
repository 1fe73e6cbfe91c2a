"""What the net engine adds to a round trip over a direct NIC, and what goes through it.

On this machine: hosts are processes over a pool in a file, instances and the outside are
namespaces (bench.net_world). Direct and pooled take turns in each round, so that what else
runs on the machine meets both; what is added is a difference within a round, and the
median over rounds is shown.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tiermem.layer.pool import create_pool

from bench.child import Child
from bench.net_host import SIZE, InstanceHost, NicHost, RelayHost
from bench.net_load import Outside, ask, stream_from, stream_to
from bench.net_world import PORT, NetWorld, Site
from bench.processors import Placement, running_on

PACKETS = (64, 256, 512, 1024, 1500)
PERCENTILES = (50, 90, 99)
NEAR_PORT = PORT + 1
WARM_UP = 200
"""Round trips that are not counted, after a way was waiting for its turn."""
DIRECT, NEAR = "direct", "near"
"""Baselines without the engine: the outside on the other host's processor, and on the
program's own, where nobody has to be woken on another one: the least that a direct round
trip takes on this machine."""
BASELINES = (DIRECT, NEAR)
RELAYED = "relayed"
"""A NIC of the host's own by a TAP and a packet socket, as the engine uses them, with one
thread between them and no pool: what is added to that is what another host's NIC costs."""
PACES: dict[str, dict[str, int]] = {
    "spinning": {"spin_us": 10_000_000},
    "default": {},
}
"""Of the pooled ways, by their names."""
HEADLINE = "spinning"
WAYS = (*BASELINES, RELAYED, *PACES)
DIRECTIONS: dict[str, Callable[[Site, float], float]] = {"out": stream_to, "in": stream_from}
_IN_MEMORY = Path("/dev/shm")


Load = tuple[int, float]
"""packet_bytes and gap_us of RoundTrips."""


@dataclass(frozen=True)
class RoundTrips:
    """Of one round; packet_bytes: of the IP packet; gap_us: between an answer and the next."""

    way: str
    round: int
    packet_bytes: int
    gap_us: float
    count: int
    percentiles_us: dict[int, float]


@dataclass(frozen=True)
class Stream:
    """TCP in one direction, in one round."""

    way: str
    round: int
    direction: str
    bytes_per_s: float


@dataclass(frozen=True)
class Effort:
    """How much is measured. gaps_us: 0, and what lets a network fall idle in between."""

    rounds: int
    count: int
    stream_s: float
    gaps_us: tuple[float, ...] = (0.0, 2000.0)
    count_with_gap: int = 200


@dataclass
class Way:
    """Where the instance is, and the processes that its packets go through."""

    site: Site
    hosts: list[Child] = field(default_factory=list)

    @contextmanager
    def turn(self) -> Iterator[Site]:
        """The processes run only meanwhile."""
        for host in self.hosts:
            host.resume()
        try:
            ask(self.site, PACKETS[0], WARM_UP)
            yield self.site
        finally:
            for host in self.hosts:
                host.pause()


@contextmanager
def ways(placement: Placement) -> Iterator[dict[str, Way]]:
    """All of WAYS, set up."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
            )
        )
        world = NetWorld(stack)
        stack.enter_context(Child("bench.net_load", Outside(world.outside, placement.outside)))
        near = replace(world.direct, port=NEAR_PORT)
        stack.enter_context(
            Child("bench.net_load", Outside(world.outside, placement.program, NEAR_PORT))
        )
        create_pool(folder / "pool", hosts=2, entries=16, size=(1 + len(PACES)) * 2 * SIZE.bytes)
        found = {DIRECT: Way(world.direct), NEAR: Way(near)}
        found[RELAYED] = _relayed(stack, world, placement)
        for number, (name, pace) in enumerate(PACES.items(), 1):
            found[name] = _pooled(stack, world, folder, placement, (number, name, pace))
        with running_on(placement.program):
            yield found


def _relayed(stack: ExitStack, world: NetWorld, placement: Placement) -> Way:
    # Outside is on the program's processor too: nobody has to be woken on another one.
    site = replace(world.relayed, port=NEAR_PORT)
    host = RelayHost(
        site.namespace,
        world.own_nic,
        mac="02:00:00:00:02:01",
        address=site.address,
        cpu=placement.frontend,
        is_yielding=placement.is_yielding,
    )
    return _paused(Way(site, [stack.enter_context(Child("bench.net_host", host))]))


def _pooled(
    stack: ExitStack,
    world: NetWorld,
    folder: Path,
    placement: Placement,
    which: tuple[int, str, dict[str, int]],
) -> Way:
    number, name, pace = which
    is_yielding = placement.is_yielding and bool(pace.get("spin_us"))
    site = world.pooled(number)
    nic = NicHost(folder, name, world.nic, placement.backend, is_yielding, pace)
    instance = InstanceHost(
        folder,
        name,
        site.namespace,
        placement.frontend,
        is_yielding,
        pace,
        mac=f"02:00:00:00:01:{number:02x}",
        address=site.address,
    )
    hosts = [
        stack.enter_context(Child("bench.net_host", nic)),
        stack.enter_context(Child("bench.net_host", instance)),
    ]
    return _paused(Way(site, hosts))


def _paused(way: Way) -> Way:
    """Whose frames go through, and which waits for its turn."""
    with way.turn():
        return way


def measure(
    placement: Placement, effort: Effort, advance: Callable[[str], None]
) -> tuple[list[RoundTrips], list[Stream]]:
    """Every way in turns; `advance` is told of each step. TiermemError where one fails."""
    trips: list[RoundTrips] = []
    streams: list[Stream] = []
    with ways(placement) as found:
        for number in range(effort.rounds):
            # Whoever comes first in a round is not always the same.
            order = [WAYS[(number + place) % len(WAYS)] for place in range(len(WAYS))]
            for packet_bytes, gap_us in _loads(effort):
                for name in order:
                    advance(f"net: {name}, {packet_bytes} B")
                    count = effort.count_with_gap if gap_us else effort.count
                    with found[name].turn() as site:
                        latencies_ns = ask(site, packet_bytes, count, gap_us)
                    shares = np.percentile(latencies_ns, PERCENTILES) / 1000
                    percentiles = dict(zip(PERCENTILES, shares.tolist(), strict=True))
                    trips.append(RoundTrips(name, number, packet_bytes, gap_us, count, percentiles))
            for direction, stream in DIRECTIONS.items():
                for name in order:
                    advance(f"net: {name}, TCP {direction}")
                    with found[name].turn() as site:
                        bytes_per_s = stream(site, effort.stream_s)
                    streams.append(Stream(name, number, direction, bytes_per_s))
    return trips, streams


def _loads(effort: Effort) -> list[Load]:
    """Packets of each size without a gap, of the smallest with the others."""
    apart = [gap for gap in effort.gaps_us if gap]
    return [(size, 0.0) for size in PACKETS] + [(PACKETS[0], gap) for gap in apart]


def steps(effort: Effort) -> int:
    """How often `measure` advances."""
    return effort.rounds * len(WAYS) * (len(_loads(effort)) + len(DIRECTIONS))


def round_trip_us(trips: Sequence[RoundTrips], way: str, load: Load, percentile: int) -> float:
    """The median over rounds."""
    return statistics.median(
        one.percentiles_us[percentile]
        for one in trips
        if (one.way, one.packet_bytes, one.gap_us) == (way, *load)
    )


def added_us(
    trips: Sequence[RoundTrips],
    way: str,
    load: Load,
    percentile: int,
    baselines: Sequence[str] = BASELINES,
) -> float:
    """Over the fastest of the baselines in the same round, the median over rounds."""
    by_round = {
        (one.way, one.round): one.percentiles_us[percentile]
        for one in trips
        if (one.packet_bytes, one.gap_us) == load
    }
    return statistics.median(
        value - min(by_round[baseline, number] for baseline in baselines)
        for (name, number), value in by_round.items()
        if name == way
    )


def figures(trips: Sequence[RoundTrips]) -> dict[str, float]:
    """Of the size for which most is added, without gaps, threads that spin: over the fastest
    baseline, over the one that crosses processors as the engine has to, and over a NIC of
    the host's own behind a TAP."""
    return {
        f"added_us_p{percentile}{suffix}": max(
            added_us(trips, HEADLINE, (size, 0.0), percentile, baselines) for size in PACKETS
        )
        for suffix, baselines in (
            ("", BASELINES),
            ("_over_direct", (DIRECT,)),
            ("_over_relayed", (RELAYED,)),
        )
        for percentile in PERCENTILES
    }
