"""Page-fault latency, by the node where the page landed.

The time is that of the kernel's handle_mm_fault(), so without the processor's
entry and exit. A fault that mapped no page of its own (a protection change,
the shared zero page, a retry) has no node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiermem.probes.constants import FOLIO
from tiermem.probes.histogram import LATENCY, Histogram
from tiermem.probes.hooks import Part, around, entry
from tiermem.probes.loader import Program
from tiermem.probes.question import Question
from tiermem.probes.table import (
    HISTOGRAM_COLUMNS,
    Table,
    histogram_cells,
    histogram_table,
    milliseconds,
)
from tiermem.probes.tracepoints import Tracepoint

NODE_NONE = 64  # NODE_NONE in ebpf/fault-latency.bpf.c

# Every way in which a fault puts a folio into a page table; the folio comes first.
MAPPING_FUNCTIONS = (
    "folio_add_anon_rmap_ptes",
    "folio_add_anon_rmap_pmd",
    "folio_add_file_rmap_ptes",
    "folio_add_file_rmap_pmd",
    "hugetlb_add_new_anon_rmap",
)

_NODE = np.dtype([("node", "<u4")])


@dataclass(frozen=True)
class FaultLatencySnapshot:
    """One histogram for each node; key None: faults that mapped no new page."""

    by_node: Mapping[int | None, Histogram]

    def on_node(self, node: int | None) -> Histogram:
        """The faults whose page landed on `node`; an empty histogram where there were none."""
        return self.by_node.get(node, Histogram.empty())

    def minus(self, earlier: FaultLatencySnapshot) -> FaultLatencySnapshot:
        differences = {
            node: histogram.minus(earlier.on_node(node)) for node, histogram in self.by_node.items()
        }
        return FaultLatencySnapshot({node: h for node, h in differences.items() if h.count})

    def as_dict(self) -> dict[str, Any]:
        return {
            "by_node": [
                {"node": node, **histogram.as_dict()} for node, histogram in self.by_node.items()
            ]
        }

    def tables(self) -> list[Table]:
        rows = tuple(
            (
                "no new page" if node is None else str(node),
                f"{histogram.count:,}",
                milliseconds(histogram.total_ns),
                *histogram_cells(histogram),
            )
            for node, histogram in self.by_node.items()
        )
        summary = Table(
            "Page faults by node", ("node", "faults", "total ms", *HISTOGRAM_COLUMNS), rows
        )
        return [summary] + [
            histogram_table(f"Faults that landed on node {node}", histogram)
            for node, histogram in self.by_node.items()
            if node is not None
        ]


def _open(
    program: Program, _tracepoints: Mapping[str, Tracepoint]
) -> Callable[[], FaultLatencySnapshot]:
    def read() -> FaultLatencySnapshot:
        rows = {
            int(key["node"]): Histogram.of_leaf(leaf)
            for key, leaf in program.entries("latencies", _NODE, LATENCY)
        }
        return FaultLatencySnapshot(
            {None if node == NODE_NONE else node: rows[node] for node in sorted(rows)}
        )

    return read


QUESTION = Question(
    name="fault-latency",
    asks="How long does a page fault take, by the node where the page landed?",
    parts=(
        Part("faults", (around("handle_mm_fault", "on_fault", "on_fault_end"),)),
        Part("new pages", ((entry("folio_add_new_anon_rmap", "on_page_mapped"),),)),
        *(
            Part(f"pages by {function}", ((entry(function, "on_page_mapped"),),), needed=False)
            for function in MAPPING_FUNCTIONS
        ),
    ),
    constants=FOLIO,
    open_reader=_open,
)
