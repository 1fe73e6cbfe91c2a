"""The parts of `bench.oasis`: what each measures, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tiermem.errors import TiermemError

from bench import (
    channel,
    oasis_failover,
    oasis_net,
    oasis_storage,
    oasis_tables,
    oasis_testbed,
    pod_packing,
    pod_saving,
    pod_traffic,
    traffic_saving,
)
from bench.benchmark_parts import Advance, Found
from bench.channel_ladder import LONGEST_US, two_cpus
from bench.pods import HOSTS, SIZES
from bench.processors import awake, place
from bench.result_file import OUT
from bench.traffic_source import load_source
from bench.vm_requests import load_requests


@dataclass(frozen=True)
class Amount:
    """How much is measured. rounds: of the net and storage engines, in each of which every
    way has its turn; round_trips: of each; seconds: of each stream and load of blocks;
    failures: of NICs. vms, traffic: traces for the simulation of pods, as bench.pod_saving takes
    them; None: drawn."""

    channel_rounds: int
    rounds: int
    round_trips: int
    seconds: float
    failures: int
    pod_seeds: int
    vms: Path | None = None
    traffic: Path | None = None


def channels(amount: Amount, advance: Advance) -> Found:
    """The ladder of bench.channel."""
    advance("channel")
    throughputs, latencies = channel.measure(two_cpus(), amount.channel_rounds, 1.0)
    runs = [*throughputs, *latencies]
    if any(one.wrong for one in runs):
        raise TiermemError("messages were not those that were sent")
    found = channel.figures(throughputs, latencies)
    if found["channel_half_load_p50_us"] >= LONGEST_US:
        raise TiermemError(f"the machine is too busy: messages take more than {LONGEST_US:.0f} µs")
    return Found(
        {
            "channel_over_bypass": found["channel_speedup_over_bypass"],
            "channel_mops": found["channel_messages_per_s"] / 1e6,
            "channel_latency_us_p50": found["channel_half_load_p50_us"],
        },
        runs,
        channel.tables(throughputs, latencies),
    )


def net(amount: Amount, advance: Advance) -> Found:
    """Round trips and streams, over a direct NIC and a pooled one."""
    placement = place()
    effort = oasis_net.Effort(amount.rounds, amount.round_trips, amount.seconds)
    with awake() as is_awake:
        trips, streams = oasis_net.measure(placement, effort, advance)
    return Found(
        oasis_net.figures(trips),
        [*trips, *streams],
        [oasis_tables.round_trips(trips), oasis_tables.streams(streams)],
        {"placement": asdict(placement), "idle_processors_halt": not is_awake},
    )


def storage(amount: Amount, advance: Advance) -> Found:
    """Blocks of a file, by io_uring and through a link."""
    placement = place()
    with awake() as is_awake:
        runs = oasis_storage.measure(placement, OUT, amount.rounds, amount.seconds, advance)
    return Found(
        oasis_storage.figures(runs),
        runs,
        [oasis_tables.blocks(runs)],
        {"placement": asdict(placement), "idle_processors_halt": not is_awake},
    )


def failover(amount: Amount, advance: Advance) -> Found:
    """NICs that fail, under traffic."""
    runs = oasis_failover.measure(amount.failures, advance)
    return Found(oasis_failover.figures(runs), runs, [oasis_tables.failures(runs)])


def pods(amount: Amount, advance: Advance) -> Found:
    """What bench.pod_saving simulates."""
    traffic = load_source(amount.traffic, HOSTS)
    given: list[pod_packing.Outcome] = []
    sent: list[pod_traffic.Outcome] = []
    for seed in range(1, 1 + amount.pod_seeds):
        advance(f"pods: seed {seed}")
        given.append(pod_packing.simulate(load_requests(amount.vms, HOSTS, seed), HOSTS, SIZES))
        sent.append(pod_traffic.simulate(traffic.draw(seed, traffic.load), SIZES))
    vms = pod_saving.source_of(amount.vms)
    return Found(
        pod_saving.figures(given) | traffic_saving.figures(sent),
        [*given, *sent],
        [pod_saving.table(given, vms), traffic_saving.table(sent, traffic.name)],
        {"vms": vms, "traffic": traffic.name},
    )


def testbed(_amount: Amount, advance: Advance) -> Found:
    """Round trips of emulated hosts, always as many: for what they are worth."""
    trips = oasis_testbed.measure(advance)
    return Found(
        oasis_testbed.figures(trips),
        trips,
        [oasis_testbed.table(trips)],
        {"time": oasis_testbed.NOTE, "rounds": oasis_testbed.ROUNDS},
    )


PARTS: dict[str, Callable[[Amount, Advance], Found]] = {
    "channel": channels,
    "net": net,
    "storage": storage,
    "failover": failover,
    "pods": pods,
    "testbed": testbed,
}
