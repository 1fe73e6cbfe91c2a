"""Page migration: how it ended, by reason and mode; from which node to which; how long.

A call of the kernel's migrate_pages() is one record; pages are base pages, so a
moved huge page counts 512 (4 KiB pages). `via` is the module that called, ""
for the kernel itself: the promoter's migrations are those via tiermem_promote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tiermem.probes.constants import FOLIO, Argument
from tiermem.probes.histogram import LATENCY, Histogram
from tiermem.probes.hooks import Part, entry, event
from tiermem.probes.kernel_modules import module_of_running
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

MIGRATE = "migrate:mm_migrate_pages"
REASON_OUTSIDE = 0xFF  # REASON_OUTSIDE in ebpf/migration.bpf.c

_COUNTS = (
    "calls",
    "moved_pages",
    "failed_pages",
    "moved_thps",
    "failed_thps",
    "split_thps",
    "total_ns",
)
_OUTCOME_KEY = np.dtype([("caller", "<u8"), ("reason", "<u8"), ("mode", "<u8")])
_OUTCOME = np.dtype([(name, "<u8") for name in _COUNTS])
_MOVE_KEY = np.dtype([(n, "<u8") for n in ("caller", "reason", "from_node", "to_node")])
_MOVE = np.dtype([("folios", "<u8"), ("pages", "<u8")])
_LATENCY_KEY = np.dtype([("caller", "<u8"), ("reason", "<u8")])


@dataclass(frozen=True)
class Outcome:
    """Calls of migrate_pages() of one kind; `total_ns` is their time from entry to end."""

    reason: str
    mode: str
    via: str
    calls: int
    moved_pages: int
    failed_pages: int
    moved_thps: int
    failed_thps: int
    split_thps: int
    total_ns: int


@dataclass(frozen=True)
class Move:
    """Folios whose content went from one node to another, and their base pages."""

    reason: str
    via: str
    from_node: int
    to_node: int
    folios: int
    pages: int


@dataclass(frozen=True)
class MigrationSnapshot:
    """`latencies` has one histogram of a call's time for each (reason, via)."""

    outcomes: tuple[Outcome, ...]
    moves: tuple[Move, ...]
    latencies: Mapping[tuple[str, str], Histogram]

    def moved_pages(self, reason: str | None = None, via: str | None = None) -> int:
        """Pages moved, of one reason or module or of all."""
        return sum(outcome.moved_pages for outcome in self._matching(reason, via))

    def failed_pages(self, reason: str | None = None, via: str | None = None) -> int:
        """Pages whose migration was tried and failed."""
        return sum(outcome.failed_pages for outcome in self._matching(reason, via))

    def pages_between(self, from_node: int, to_node: int) -> int:
        """Pages moved from one node to another, for whatever reason."""
        return sum(
            move.pages
            for move in self.moves
            if (move.from_node, move.to_node) == (from_node, to_node)
        )

    def minus(self, earlier: MigrationSnapshot) -> MigrationSnapshot:
        before = earlier.latencies
        latencies = {
            key: histogram.minus(before[key]) if key in before else histogram
            for key, histogram in self.latencies.items()
        }
        return MigrationSnapshot(
            counted_since(self.outcomes, earlier.outcomes, _COUNTS),
            counted_since(self.moves, earlier.moves, ("folios", "pages")),
            {key: histogram for key, histogram in latencies.items() if histogram.count},
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "moves": [asdict(move) for move in self.moves],
            "latencies": [
                {"reason": reason, "via": via, **histogram.as_dict()}
                for (reason, via), histogram in self.latencies.items()
            ],
        }

    def tables(self) -> list[Table]:
        everything = Histogram.empty()
        for histogram in self.latencies.values():
            everything = everything.plus(histogram)
        return [
            self._outcome_table(),
            Table(
                "Pages moved between nodes",
                ("reason", "via", "from", "to", "folios", "pages"),
                tuple(
                    (
                        move.reason,
                        move.via or "kernel",
                        str(move.from_node),
                        str(move.to_node),
                        f"{move.folios:,}",
                        f"{move.pages:,}",
                    )
                    for move in self.moves
                ),
            ),
            histogram_table("Time of a call of migrate_pages()", everything),
        ]

    def _outcome_table(self) -> Table:
        columns = ("reason", "via", "mode", "calls", "moved", "failed", "total ms")
        rows = []
        for o in self.outcomes:
            latency = self.latencies.get((o.reason, o.via), Histogram.empty())
            counts = (f"{o.calls:,}", f"{o.moved_pages:,}", f"{o.failed_pages:,}")
            kind = (o.reason, o.via or "kernel", o.mode)
            rows.append((*kind, *counts, milliseconds(o.total_ns), *histogram_cells(latency)))
        return Table("Page migration by reason", columns + HISTOGRAM_COLUMNS, tuple(rows))

    def _matching(self, reason: str | None, via: str | None) -> Iterable[Outcome]:
        return (
            outcome
            for outcome in self.outcomes
            if reason in (None, outcome.reason) and via in (None, outcome.via)
        )


class _Reader:
    """Turns codes and addresses into names.

    What an address belonged to when first seen is kept: a module may go away
    while its counts stay.
    """

    def __init__(self, program: Program, tracepoints: Mapping[str, Tracepoint]) -> None:
        self._program = program
        symbols = tracepoints[MIGRATE].symbols
        self._reasons = {**symbols.get("reason", {}), REASON_OUTSIDE: "outside"}
        self._modes = symbols.get("mode", {})
        self._modules: dict[int, str] = {}

    def __call__(self) -> MigrationSnapshot:
        outcomes: dict[tuple[str, str, str], Outcome] = {}
        for key, leaf in self._program.entries("outcomes", _OUTCOME_KEY, _OUTCOME):
            name = (self._reason(key), self._mode(key), self._via(key))
            counts = {count: int(leaf[count]) for count in _COUNTS}
            if name in outcomes:
                counts = {c: counts[c] + getattr(outcomes[name], c) for c in _COUNTS}
            outcomes[name] = Outcome(*name, *counts.values())
        moves: dict[tuple[str, str, int, int], Move] = {}
        for key, leaf in self._program.entries("moves", _MOVE_KEY, _MOVE):
            place = (self._reason(key), self._via(key), int(key["from_node"]), int(key["to_node"]))
            old = moves.get(place, Move(*place, folios=0, pages=0))
            moves[place] = Move(
                *place, old.folios + int(leaf["folios"]), old.pages + int(leaf["pages"])
            )
        latencies: dict[tuple[str, str], Histogram] = {}
        for key, leaf in self._program.entries("latencies", _LATENCY_KEY, LATENCY):
            who = (self._reason(key), self._via(key))
            latencies[who] = latencies.get(who, Histogram.empty()).plus(Histogram.of_leaf(leaf))
        return MigrationSnapshot(
            tuple(outcomes[name] for name in sorted(outcomes)),
            tuple(moves[place] for place in sorted(moves)),
            {who: latencies[who] for who in sorted(latencies)},
        )

    def _reason(self, key: np.void) -> str:
        code = int(key["reason"])
        return self._reasons.get(code, f"reason {code}")

    def _mode(self, key: np.void) -> str:
        code = int(key["mode"])
        return self._modes.get(code, f"mode {code}").removeprefix("MIGRATE_").lower()

    def _via(self, key: np.void) -> str:
        address = int(key["caller"])
        if address not in self._modules:
            self._modules[address] = module_of_running(address)
        return self._modules[address]


def _open(
    program: Program, tracepoints: Mapping[str, Tracepoint]
) -> Callable[[], MigrationSnapshot]:
    return _Reader(program, tracepoints)


QUESTION = Question(
    name="migration",
    asks="Who migrates pages, from which node to which, how does it end, how long does it take?",
    parts=(
        Part("the calls of migrate_pages()", ((event(MIGRATE, "on_migrate_end"),),)),
        Part("when they begin", ((event(f"{MIGRATE}_start", "on_migrate_start"),),)),
        Part("which module called", ((entry("migrate_pages", "on_migrate_entry"),),), needed=False),
        Part("the nodes", ((entry("folio_migrate_flags", "on_folio_moved"),),)),
    ),
    constants={
        **FOLIO,
        "ARG_succeeded": Argument(MIGRATE, "succeeded"),
        "ARG_failed": Argument(MIGRATE, "failed"),
        "ARG_thp_succeeded": Argument(MIGRATE, "thp_succeeded"),
        "ARG_thp_failed": Argument(MIGRATE, "thp_failed"),
        "ARG_thp_split": Argument(MIGRATE, "thp_split"),
        "ARG_mode": Argument(MIGRATE, "mode"),
        "ARG_start_reason": Argument(f"{MIGRATE}_start", "reason"),
    },
    open_reader=_open,
)
