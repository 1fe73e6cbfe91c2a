"""One round of M5: look, decide, make room, move, learn. Called by the daemon's loop.

The engine owns no clock and no sleep; the daemon says when. Everything it
works with is behind a small interface, so tests hand it parts of their own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tiermem.errors import TiermemError
from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.hotlist import PAGE_BYTES, U64
from tiermem.m5.layout import Layout
from tiermem.m5.monitor import Monitor, Sample
from tiermem.m5.observation import Decision, Observation, Outcome, TierLoad, Verdict
from tiermem.m5.policy import Policy
from tiermem.m5.policy_guard import PolicyGuard
from tiermem.m5.promoter import ARRIVED, LASTING, Moves, Promoter, is_any_of
from tiermem.m5.rate_limit import RateLimiter
from tiermem.m5.room import NoRoom, RoomMaker
from tiermem.m5.rounds import NOT_ASKED, Round, Rounds
from tiermem.m5.scope import Everybody, Scope, keep_in_scope
from tiermem.m5.trackers import Tracker

PORTION_PAGES = 512
# kswapd demotes some hundred pages in this time; a round waits so often at most.
KSWAPD_TURN_S = 0.005
MOST_WAITS = 16


@dataclass
class Parts:
    """What a round works with; the daemon may replace a part between rounds."""

    layout: Layout
    tracker: Tracker
    monitor: Monitor
    policy: Policy
    limiter: RateLimiter
    promoter: Promoter
    scope: Scope
    room: RoomMaker = field(default_factory=NoRoom)


class Engine:
    """Runs rounds over `parts`; `dry_run` decides without moving."""

    def __init__(self, parts: Parts, rounds: Rounds, dry_run: bool, swappiness: int) -> None:
        self.parts = parts
        self.rounds = rounds
        self.dry_run = dry_run
        self.swappiness = swappiness
        self.moving_ns = 0
        """CPU time that moving pages took this process so far, which is the kernel's work."""
        self.guard = PolicyGuard()
        """Its `trouble` says why the last round was lost by the policy."""
        self.promoter_trouble = ""
        """Why the last round was lost by the promoter; empty when it was not."""

    def run_round(self, now_ns: int, *, phase_ns: int | None = None) -> Round:
        """One round at `now_ns` (monotonic). KernelError when the tracker is gone.

        A policy or a promoter that fails loses the round, not the daemon; its trouble is kept.
        """
        parts = self.parts
        lists = parts.tracker.lists(now_ns)
        out_of_scope = 0
        if not isinstance(parts.scope, Everybody):
            lists, out_of_scope = keep_in_scope(lists, parts.scope, now_ns)
        sample = self._sample(now_ns)
        decision = self.guard.decide(
            parts.policy,
            Observation(
                now_ns=now_ns,
                lists=lists,
                slow=sample.slow,
                fast=sample.fast,
                costs=sample.costs,
                budget_pages=parts.limiter.available_pages(now_ns),
                room_pages=sample.room_bytes // PAGE_BYTES,
                phase_ns=phase_ns,
            ),
        )
        done = self._carry_out(decision, now_ns)
        one = Round(
            number=self.rounds.totals.rounds + 1,
            now_ns=now_ns,
            sample=sample,
            decision=decision,
            results=done.results,
            moved_pages=done.moved_pages,
            room_pages=done.room_pages,
            out_of_scope=out_of_scope,
            spent_ns=done.spent_ns,
            dry_run=self.dry_run,
        )
        self.rounds.add(one)
        return one

    def _sample(self, now_ns: int) -> Sample:
        sample = self.parts.monitor.sample(now_ns)
        estimate = self.parts.tracker.read_Bps_estimate
        if sample.fast.read_Bps is not None or estimate is None:
            return sample
        fast, slow = sample.fast, sample.slow
        return Sample(
            TierLoad(estimate[0], fast.active_bytes, fast.free_bytes),
            TierLoad(estimate[1], slow.active_bytes, slow.free_bytes),
            sample.costs,
            sample.room_bytes,
        )

    def _carry_out(self, decision: Decision, now_ns: int) -> _Done:
        results = np.full(decision.candidates.size, NOT_ASKED, dtype=np.uint8)
        chosen = np.flatnonzero(decision.verdicts == Verdict.PROMOTE)
        if chosen.size == 0:
            return _Done(results, 0, 0, 0)
        if self.dry_run:
            self.parts.limiter.spend(chosen.size)
            return _Done(results, 0, 0, 0)
        pages = decision.candidates[chosen]
        start_ns = time.monotonic_ns()
        room_pages = 0
        try:
            room_pages = self._make_room(pages.size)
            moved_pages = self._promote(pages, chosen, results)
            self.promoter_trouble = ""
        except TiermemError as error:
            self.promoter_trouble = str(error)
            self.rounds.totals.promoter_failures += 1
            moved_pages = 0
        self.parts.limiter.spend(moved_pages)
        outcome = results[chosen]
        asked = outcome != NOT_ASKED
        pages, outcome = pages[asked], outcome[asked]
        self.guard.settle(
            self.parts.policy,
            Outcome(now_ns, pages[is_any_of(outcome, ARRIVED)], pages[is_any_of(outcome, LASTING)]),
        )
        return _Done(results, moved_pages, room_pages, time.monotonic_ns() - start_ns)

    def _make_room(self, pages: int) -> int:
        """Push cold pages down for what does not fit; how many went."""
        parts = self.parts
        free_pages = parts.monitor.fresh_room_bytes() // PAGE_BYTES
        missing = pages - free_pages
        if missing <= 0 or parts.room.method == "off":
            return 0
        before_ns = time.thread_time_ns()
        freed = parts.room.make(missing, self.swappiness)
        parts.monitor.moved_down(freed, time.thread_time_ns() - before_ns)
        return freed

    def _promote(
        self, pages: U64, chosen: npt.NDArray[np.intp], results: npt.NDArray[np.uint8]
    ) -> int:
        """Fill `results` at `chosen`; returns base pages moved.

        In portions, so that kswapd, whom an allocation wakes, can demote while the
        rest waits; what finds no memory is tried again once kswapd had its turn.
        """
        moved_pages = waits = 0
        for node, here in self.parts.layout.by_target(pages):
            waiting = np.flatnonzero(here) if here.dtype == np.bool_ else here
            while waiting.size:
                portion, waiting = waiting[:PORTION_PAGES], waiting[PORTION_PAGES:]
                moves = self._promote_portion(pages[portion], node)
                results[chosen[portion]] = moves.results
                moved_pages += moves.moved_pages
                refused = portion[moves.results == PromoteCode.NO_MEMORY]
                if refused.size and self.parts.room.method == "kswapd":
                    if waits == MOST_WAITS:
                        break
                    waits += 1
                    time.sleep(KSWAPD_TURN_S)
                    waiting = np.concatenate((refused, waiting))
            results[chosen[waiting]] = PromoteCode.NO_MEMORY
        return moved_pages

    def _promote_portion(self, pages: U64, node: int) -> Moves:
        parts = self.parts
        moves = parts.promoter.promote(pages, node)
        self.moving_ns += moves.spent_ns
        if not np.any(moves.results == PromoteCode.NO_MEMORY):
            parts.monitor.moved_up(moves.moved_pages, moves.spent_ns)
        return moves


@dataclass(frozen=True, slots=True)
class _Done:
    results: npt.NDArray[np.uint8]
    moved_pages: int
    room_pages: int
    spent_ns: int
