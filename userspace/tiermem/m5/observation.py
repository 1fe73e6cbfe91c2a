"""What a policy is told each round, what it answers, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tiermem.m5.hotlist import PAGE_BYTES, U64, HotList

LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class TierLoad:
    """How one tier is used. `read_Bps` is None where nothing on this host counts it."""

    read_Bps: float | None  # noqa: N815 (unit in the name)
    active_bytes: int
    free_bytes: int = 0

    @property
    def density(self) -> float | None:
        """Bandwidth density: bytes read a second for each active byte."""
        if self.read_Bps is None:
            return None
        return self.read_Bps / max(self.active_bytes, PAGE_BYTES)

    @property
    def page_reads_per_s(self) -> float | None:
        """The same as line reads a second of an average active page."""
        density = self.density
        return None if density is None else density * PAGE_BYTES / LINE_BYTES


@dataclass(frozen=True, slots=True)
class MoveCosts:
    """What moving costs and brings; the daemon replaces the defaults by what it measures.

    `promote_ns` and `demote_ns` are per 4 KiB page; the latter is kswapd's CPU time,
    its search for cold pages included. `gain_ns` is the read latency that one line
    read saves once its page lies in the fast tier.
    """

    promote_ns: float = 12_000.0
    demote_ns: float = 12_000.0
    gain_ns: float = 150.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One round's input.

    `budget_pages` is what the rate limit still allows now, `room_pages` what
    the fast tier can take without demoting anything first. `phase_ns`: so long ago,
    at most, the slow tier's share of the reads has jumped, as it does when a program
    enters another phase; None where it has not since the last round.
    """

    now_ns: int
    lists: tuple[HotList, ...]
    slow: TierLoad
    fast: TierLoad
    costs: MoveCosts = field(default_factory=MoveCosts)
    budget_pages: int = 1 << 30
    room_pages: int = 0
    phase_ns: int | None = None

    @property
    def shifted(self) -> bool:
        """Whether another phase has begun since the last round."""
        return self.phase_ns is not None


class Verdict(IntEnum):
    """Why a listed page is to be moved, or not; one per candidate of a decision."""

    PROMOTE = 0
    ONE_OFF = 1
    SPARSE = 2
    BACKED_OFF = 3
    NO_PROFIT = 4
    STOPPED = 5
    OVER_BUDGET = 6


VERDICT_MEANING: dict[Verdict, str] = {
    Verdict.PROMOTE: "hot, and moving it pays",
    Verdict.ONE_OFF: "hot in one list only: may be a scan passing by",
    Verdict.SPARSE: "too few of its 64 lines are hot",
    Verdict.BACKED_OFF: "came down from the fast tier, or could not be moved, a moment ago",
    Verdict.NO_PROFIT: "its reads do not pay for the move and what it would push out",
    Verdict.STOPPED: "migration is stopped: nothing to gain at present",
    Verdict.OVER_BUDGET: "beyond the rate limit for this round",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One round's answer.

    `candidates` are all page numbers (PFN) considered, best first, with a
    `Verdict` each; those that say PROMOTE are to be moved, in that order.
    `reads_per_s` is the read rate expected of each candidate.
    """

    candidates: U64
    verdicts: npt.NDArray[np.uint8]
    reads_per_s: npt.NDArray[np.float64]
    next_round_ns: int
    reason: str

    @property
    def promote(self) -> U64:
        """Page numbers to move now, best first."""
        pages: U64 = self.candidates[self.verdicts == Verdict.PROMOTE]
        return pages

    def counts(self) -> dict[Verdict, int]:
        """How many candidates got each verdict."""
        totals = np.bincount(self.verdicts, minlength=len(Verdict))
        return {verdict: int(totals[verdict]) for verdict in Verdict}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision's pages.

    `moved` lie on the fast tier now; `refused` could not be moved, for reasons
    that will last. Pages in neither may be tried again.
    """

    now_ns: int
    moved: U64
    refused: U64
