"""NUMA hint faults: how many, on which node's pages, what came of them, how long they took.

NUMA balancing unmaps pages to see who touches them; each such touch is a fault
that the faulting thread waits for. The time includes the page's migration where
it moved at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tiermem.probes.histogram import LATENCY, Histogram
from tiermem.probes.hooks import Hook, HookKind, Part, around, entry
from tiermem.probes.loader import Program
from tiermem.probes.question import Question, counted_since
from tiermem.probes.table import (
    HISTOGRAM_COLUMNS,
    Table,
    histogram_cells,
    histogram_table,
    milliseconds,
)
from tiermem.probes.tracepoints import Tracepoint

# enum outcome and NODE_NONE in ebpf/hint-faults.bpf.c
OUTCOMES = ("stayed", "moved", "failed", "raced")
NODE_NONE = 64

_PLACE = np.dtype([("node", "<u4"), ("outcome", "<u4")])
_FAULTS = np.dtype([("faults", "<u8"), ("pages", "<u8"), ("total_ns", "<u8")])


@dataclass(frozen=True)
class HintFaults:
    """Faults on pages that lay on `node` afterwards (None: another thread had resolved it).

    outcome: stayed (well placed, or not hot enough), moved, failed (migration
    was tried), raced.
    """

    node: int | None
    outcome: str
    faults: int
    pages: int
    total_ns: int


@dataclass(frozen=True)
class HintFaultSnapshot:
    """`latencies` has one histogram of a fault's time for each outcome."""

    by_node: tuple[HintFaults, ...]
    latencies: Mapping[str, Histogram]

    @property
    def faults(self) -> int:
        """All but the raced ones; what /proc/vmstat counts as numa_hint_faults."""
        return sum(row.faults for row in self.by_node if row.outcome != "raced")

    @property
    def total_ns(self) -> int:
        return sum(row.total_ns for row in self.by_node)

    def minus(self, earlier: HintFaultSnapshot) -> HintFaultSnapshot:
        return HintFaultSnapshot(
            counted_since(self.by_node, earlier.by_node, ("faults", "pages", "total_ns")),
            {
                outcome: histogram.minus(earlier.latencies[outcome])
                for outcome, histogram in self.latencies.items()
            },
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "faults": self.faults,
            "total_ns": self.total_ns,
            "by_node": [asdict(row) for row in self.by_node],
            "latencies": {
                outcome: histogram.as_dict() for outcome, histogram in self.latencies.items()
            },
        }

    def tables(self) -> list[Table]:
        rows = tuple(
            (
                "-" if row.node is None else str(row.node),
                row.outcome,
                f"{row.faults:,}",
                f"{row.pages:,}",
                milliseconds(row.total_ns),
            )
            for row in self.by_node
        )
        times = tuple(
            (outcome, f"{histogram.count:,}", *histogram_cells(histogram))
            for outcome, histogram in self.latencies.items()
            if histogram.count
        )
        everything = Histogram.empty()
        for histogram in self.latencies.values():
            everything = everything.plus(histogram)
        return [
            Table("NUMA hint faults", ("node", "outcome", "faults", "pages", "total ms"), rows),
            Table("Time of a fault", ("outcome", "faults", *HISTOGRAM_COLUMNS), times),
            histogram_table("All hint faults", everything),
        ]


def _open(
    program: Program, _tracepoints: Mapping[str, Tracepoint]
) -> Callable[[], HintFaultSnapshot]:
    def read() -> HintFaultSnapshot:
        rows = []
        for place, leaf in program.entries("by_node", _PLACE, _FAULTS):
            node = int(place["node"])
            rows.append(
                HintFaults(
                    None if node == NODE_NONE else node,
                    OUTCOMES[int(place["outcome"])],
                    *(int(leaf[name]) for name in ("faults", "pages", "total_ns")),
                )
            )
        rows.sort(key=lambda row: (NODE_NONE if row.node is None else row.node, row.outcome))
        leaves = program.array("latencies", LATENCY)
        return HintFaultSnapshot(
            tuple(rows),
            {name: Histogram.of_leaf(leaves[i]) for i, name in enumerate(OUTCOMES)},
        )

    return read


QUESTION = Question(
    name="hint-faults",
    asks="How many NUMA hint faults are there, what comes of them, how long do they take?",
    parts=(
        Part(
            "hint faults",
            (
                (
                    *around("do_numa_page", "on_hint_fault", "on_fault_end"),
                    *around("do_huge_pmd_numa_page", "on_hint_fault", "on_fault_end"),
                ),
                (
                    entry("handle_mm_fault", "on_any_fault"),
                    entry("numa_migrate_check", "on_hint_check"),
                    Hook(HookKind.KRETPROBE, "handle_mm_fault", "on_fault_end"),
                ),
            ),
        ),
        Part("node and outcome", ((entry("task_numa_fault", "on_numa_fault"),),)),
    ),
    open_reader=_open,
)
