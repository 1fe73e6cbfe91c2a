"""The tables of `bench.serving`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from tiermem.errors import TiermemError
from tiermem.serving.kv.counters import NEAR

from bench.benchmark_parts import table_of
from bench.serving_configurations import CXL
from bench.serving_figures import BOUNDS_S, PLACES, Point, at_bound
from bench.serving_play import Played


def curves(points: Sequence[Point], lengths: str) -> Table:
    """Each configuration at each rate. lengths: what those of sessions are from."""
    table = table_of(
        f"Sessions: what comes of each rate of arrivals ({lengths})",
        (
            *("sessions/s", "configuration", "answers/s", "tokens/s"),
            *("TTFT p50 s", "p95", "p99", "TPOT p50 ms", "p95", "p99"),
            *(*PLACES, "recomputed tokens", "KV memory"),
        ),
        caption="Shares are of the tokens of histories, by where their KV came from. ≥: some "
        "requests were given up without an answer, and count with the time that they had waited. "
        "KV memory: in use while requests waited for it. Memory: DRAM, or CXL memory "
        "where there is no DRAM. CXL memory is emulated: DRAM whose copies "
        f"are held to {CXL['bandwidth_Bps'] / 1e9:g} GB/s and {CXL['latency_ns']} ns.",
        words=1,
    )
    rates = sorted({one.rate for one in points})
    for rate in rates:
        row = [one for one in points if one.rate == rate]
        for number, one in enumerate(row):
            table.add_row(
                f"{rate:.2f}" if not number else "",
                one.engine,
                f"{one.requests_per_s:.2f}",
                f"{one.tokens_per_s:.0f}",
                *(f"{'≥ ' if one.unanswered else ''}{value:.2f}" for value in one.ttft_s.values()),
                *("-" if value is None else f"{value * 1e3:.0f}" for value in one.tpot_s.values()),
                *(f"{one.places[place]:.0%}" for place in PLACES),
                str(one.recomputed_tokens),
                "-" if one.memory_share is None else f"{one.memory_share:.1%}",
                end_section=number == len(row) - 1,
            )
    return table


def bounds(points: Sequence[Point], names: Sequence[str]) -> Table:
    """The most throughput of each at the same P95 TTFT."""
    table = table_of(
        "Answers a second while P95 TTFT keeps a bound",
        ("configuration", *(f"{most_s:g} s" for most_s in BOUNDS_S.values())),
        caption="≥: kept at the highest rate too.",
    )
    for name in names:
        table.add_row(name, *(_kept(points, name, most_s) for most_s in BOUNDS_S.values()))
    return table


def _kept(points: Sequence[Point], name: str, most_s: float) -> str:
    try:
        found = at_bound(points, name, most_s)
    except TiermemError:
        return "never kept"
    return f"{'≥ ' if found.is_least else ''}{found.requests_per_s:.2f}"


def rounds(pairs: Sequence[tuple[Played, Played]], loss: float) -> Table:
    """The same work where all of it fits."""
    table = table_of(
        f"Where vLLM's own cache holds everything: {loss:.1%} of throughput lost",
        ("round", "vLLM s", "ours s", "loss"),
        caption="The same sessions on both in each round; the median over rounds.",
    )
    for number, (theirs, mine) in enumerate(pairs, 1):
        lost = 1 - theirs.wall_s / mine.wall_s
        table.add_row(str(number), f"{theirs.wall_s:.2f}", f"{mine.wall_s:.2f}", f"{lost:+.1%}")
    return table


def wrong(played: Sequence[Played], counts: Mapping[str, int]) -> Table:
    """Tokens against plain vLLM's."""
    table = table_of(
        "Tokens that differ from plain vLLM's, in fp32",
        ("configuration", "answers", "tokens", "wrong", "blocks restored", "preempted"),
    )
    for one in played:
        table.add_row(
            one.engine,
            str(len(one.tokens)),
            str(sum(map(len, one.tokens.values()))),
            str(counts[one.engine]),
            f"{sum(one.tiers.get(f'{tier} restored', 0) for tier in NEAR):.0f}",
            str(one.preemptions),
        )
    return table
