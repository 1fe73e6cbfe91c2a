"""What the daemon remembers of its rounds: totals for metrics, the last few for `explain`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.hotlist import U64
from tiermem.m5.monitor import Sample
from tiermem.m5.observation import Decision, Verdict
from tiermem.m5.promoter import ARRIVED

ROUNDS_KEPT = 64
NOT_ASKED = 255
"""In `Round.results`: the page was not handed to the promoter."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round. `results[i]` is the PromoteCode of `decision.candidates[i]`, or NOT_ASKED."""

    number: int
    now_ns: int
    sample: Sample
    decision: Decision
    results: npt.NDArray[np.uint8]
    moved_pages: int
    room_pages: int
    out_of_scope: int
    spent_ns: int
    dry_run: bool

    @property
    def pages(self) -> U64:
        """The page frames that were considered, best first."""
        return self.decision.candidates

    @property
    def left(self) -> U64:
        """Frames whose page is on the target node since: they hold something else now."""
        return np.asarray(self.pages[np.isin(self.results, ARRIVED)], dtype=np.uint64)


@dataclass
class Totals:
    """Sums over all rounds, kept over restarts."""

    rounds: int = 0
    candidates: int = 0
    moved_pages: int = 0
    room_pages: int = 0
    out_of_scope: int = 0
    tracker_failures: int = 0
    promoter_failures: int = 0
    move_ns: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)


class Rounds:
    """Totals, and the last rounds that had candidates."""

    def __init__(self, totals: Totals | None = None) -> None:
        self.totals = totals or Totals()
        self.recent: deque[Round] = deque(maxlen=ROUNDS_KEPT)
        self.last: Round | None = None

    def add(self, one: Round) -> None:
        """Count a round in."""
        totals = self.totals
        self.last = one
        totals.rounds += 1
        totals.out_of_scope += one.out_of_scope
        if one.pages.size == 0:
            return
        self.recent.append(one)
        totals.candidates += int(one.pages.size)
        totals.moved_pages += one.moved_pages
        totals.room_pages += one.room_pages
        totals.move_ns += one.spent_ns
        _add_counts(totals.verdicts, one.decision.verdicts, _VERDICT_NAMES)
        asked = one.results[one.results != NOT_ASKED]
        _add_counts(totals.results, asked, _RESULT_NAMES)


_VERDICT_NAMES = {int(verdict): verdict.name.lower() for verdict in Verdict}
_RESULT_NAMES = {int(result): result.name.lower() for result in PromoteCode}


def _add_counts(sums: dict[str, int], codes: npt.NDArray[np.uint8], names: dict[int, str]) -> None:
    for code, count in enumerate(np.bincount(codes).tolist()):
        if count:
            name = names.get(code, str(code))
            sums[name] = sums.get(name, 0) + count
