"""The rounds of a replay: read lists, decide, move, judge. As the daemon's engine does."""

from __future__ import annotations

import numpy as np

from tiermem.layer.tracker_config import ListKind
from tiermem.m5.hotlist import HotList, Unit
from tiermem.m5.observation import Decision, Observation, Outcome
from tiermem.m5.policy import Policy
from tiermem.m5.rate_limit import RateLimiter
from tiermem.m5.settings import M5Settings
from tiermem.native._models import lib
from tiermem.native.models import U64, ReplayMachine
from tiermem.replay.contenders import Contender
from tiermem.replay.judge import Judge, exact_list
from tiermem.replay.load_meter import LoadMeter

_UNITS = {ListKind.HPT: Unit.PAGE, ListKind.HWT: Unit.LINE}
_NS_PER_S = 1_000_000_000


class Rounds:
    """Everything of a contender that lives as long as the replay."""

    def __init__(
        self, machine: ReplayMachine, settings: M5Settings, contender: Contender, policy: Policy
    ) -> None:
        self._machine = machine
        self._contender = contender
        self._policy = policy
        self._meter = LoadMeter(machine, settings.monitor)
        self._last_ns = machine.now_ns
        self.judge = Judge(machine)
        self.count = 0
        self.last_reason = ""
        self.first_ns = machine.now_ns + round(_NS_PER_S / settings.elector.base_hz)

    def run(self, limiter: RateLimiter) -> int:
        """One round, now; returns the modelled time (ns) of the next."""
        now_ns = self._machine.now_ns
        counts = self.judge.counts()
        load = self._meter.sample()
        decision = self._policy.decide(
            Observation(
                now_ns=now_ns,
                lists=self._lists(counts, now_ns),
                slow=load.slow,
                fast=load.fast,
                costs=load.costs,
                budget_pages=limiter.available_pages(now_ns),
                room_pages=load.free_pages,
            )
        )
        self.count += 1
        self.last_reason = decision.reason
        self._last_ns = now_ns
        self.judge.judge(counts, decision.candidates, decision.promote)
        limiter.spend(self._move(decision))
        self.judge.start_interval()
        return max(now_ns + decision.next_round_ns, self._machine.now_ns + 1)

    def _lists(self, counts: np.ndarray, now_ns: int) -> tuple[HotList, ...]:
        interval_ns = now_ns - self._last_ns
        if self._contender.sees_all:
            return (exact_list(counts, self._machine.fast_frames, interval_ns),)
        return tuple(
            self._emit(kind, now_ns, interval_ns) for kind in sorted(self._contender.lists)
        )

    def _emit(self, kind: ListKind, now_ns: int, interval_ns: int) -> HotList:
        entries = self._machine.trackers.emit(kind, now_ns=now_ns).entries
        return HotList(
            _UNITS[kind], entries["address"].copy(), entries["count"].copy(), interval_ns
        )

    def _move(self, decision: Decision) -> int:
        """Promote what was decided, after making room; returns pages moved up."""
        pages = decision.promote
        if pages.size == 0:
            return 0
        missing = int(pages.size) - self._meter.free_pages()
        if missing > 0:
            before_ns = self._machine.now_ns
            freed = self._machine.make_room(missing)
            self._meter.moved_down(freed, self._machine.now_ns - before_ns)
        before_ns = self._machine.now_ns
        results = self._machine.promote(pages)
        moved: U64 = pages[results == lib.TIERMEM_MOVED]
        self._meter.moved_up(int(moved.size), self._machine.now_ns - before_ns)
        # No memory is no fault of the page: it may be asked for again.
        lasting = (results != lib.TIERMEM_MOVED) & (results != lib.TIERMEM_NO_MEMORY)
        refused: U64 = pages[lasting]
        self._policy.settle(Outcome(self._machine.now_ns, moved, refused))
        return int(moved.size)
