"""What bench.pod_saving makes of simulated traffic: figures, tables, curves, variants.

Variants say how much the result hangs on what was assumed: the length of windows, and how
busy hosts are that serve requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.pod_traffic import WAYS, Outcome, coarser, simulate
from bench.pods import HEADLINE, Estimate, by_size, estimate, right_aligned
from bench.traffic_source import Source

MOSTLY = "p9999"


@dataclass(frozen=True)
class Variant:
    """What pods of HEADLINE hosts save (MOSTLY), with other windows or another load."""

    window_s: float
    load: float | None
    saved: Estimate


def savings(outcomes: Sequence[Outcome], way: str) -> dict[int, Estimate]:
    """By hosts of a pod; way: one of WAYS. Over hosts that have what they need themselves."""
    return by_size([one.saved[way] for one in outcomes])


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Shares of 1."""
    name = f"nic_saving_{HEADLINE}_hosts_traffic"
    mostly = savings(outcomes, MOSTLY)[HEADLINE]
    alike = by_size([one.saved_alike[MOSTLY] for one in outcomes])[HEADLINE]
    return {
        name: mostly.mean,
        f"{name}_half_width": mostly.half_width,
        f"{name}_max": savings(outcomes, "max")[HEADLINE].mean,
        f"{name}_alike": alike.mean,
        "nic_above_mean_traffic": estimate([one.most[MOSTLY] for one in outcomes]).mean,
    }


def table(outcomes: Sequence[Outcome], source: str) -> Table:
    """A row for each size of a pod, and one for pods without end."""
    first = outcomes[0]
    made = right_aligned(
        "NIC bandwidth saved by pooling, for the traffic, by hosts of a pod",
        f"{source}, {first.hosts} hosts, {first.windows} windows of {first.window_s:g} s. "
        "Simulation.",
        ("hosts", "99.99 %", "max", "hosts alike, 99.99 %", "hosts alike, max"),
    )
    columns = [savings(outcomes, way) for way in (MOSTLY, "max")]
    columns += [by_size([one.saved_alike[way] for one in outcomes]) for way in (MOSTLY, "max")]
    for size in columns[0]:
        made.add_row(str(size), *(str(one[size]) for one in columns))
    limits = [estimate([one.most[way] for one in outcomes]) for way in (MOSTLY, "max")]
    made.add_section()
    made.add_row("any", *(str(one) for one in limits), "", "")
    return made


def vary(source: Source, seeds: Sequence[int]) -> list[Variant]:
    """Each load with the shortest windows, and longer ones with the default load."""
    found: list[Variant] = []
    for load in source.loads or (source.load,):
        drawn = [source.draw(seed, load) for seed in seeds]
        for factor in source.coarser if load == source.load else source.coarser[:1]:
            saved = [simulate(coarser(one, factor), (HEADLINE,)).saved[MOSTLY] for one in drawn]
            shown = load if source.loads else None
            window_s = drawn[0].window_s * factor
            found.append(Variant(window_s, shown, by_size(saved)[HEADLINE]))
    return found


def variants_table(variants: Sequence[Variant], source: str) -> Table:
    """A row for each."""
    made = right_aligned(
        f"The same in pods of {HEADLINE}, 99.99 %, with other windows and loads",
        f"{source}. Simulation.",
        ("window (s)", "load at most", "saved"),
    )
    for one in variants:
        load = "-" if one.load is None else f"{one.load:.0%}"
        made.add_row(f"{one.window_s:g}", load, str(one.saved))
    return made


def curves(outcomes: Sequence[Outcome]) -> dict[str, dict[int, Estimate]]:
    """Savings by way and hosts of a pod."""
    return {way: savings(outcomes, way) for way in WAYS}
