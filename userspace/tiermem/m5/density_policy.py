"""The built-in policy `density`: Nominator, then Elector, within the rate limit."""

from __future__ import annotations

from typing import Any

import numpy as np

from tiermem.m5.elector import Election, Elector
from tiermem.m5.nominator import Nominator, Nominees
from tiermem.m5.observation import Decision, Observation, Outcome, Verdict
from tiermem.m5.policy import Policy, PolicySettings, register_policy

NS_PER_S = 1_000_000_000
# Pages read less than this share of what a move must bring are not looked at …
_WORTH_A_LOOK = 0.25
# … unless so many fit without pushing others out, which lowers the bar.
_MUCH_ROOM_PAGES = 1024
# A scan leaves pages hot in one list only; hurrying after them is given up soon.
_HURRIES = 4


@register_policy("density")
class DensityPolicy(Policy):
    """M5's manager: priority by bandwidth density, dense pages first, frequency by benefit."""

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__(settings)
        self._nominator = Nominator(settings.nominator)
        self._elector = Elector(settings.elector)
        self._threshold_reads_per_s = 0.0
        self._hurried = 0

    def decide(self, seen: Observation) -> Decision:
        """See Policy.decide."""
        if seen.phase_ns is not None:
            self._nominator.forget(seen.phase_ns)
        is_roomy = seen.room_pages >= _MUCH_ROOM_PAGES
        floor = 0.0 if is_roomy else self._threshold_reads_per_s * _WORTH_A_LOOK
        nominees = self._nominator.nominate(seen.lists, seen.now_ns, floor)
        verdicts = nominees.verdicts.copy()
        eligible = verdicts == Verdict.PROMOTE
        self._elector.learn_regret(
            nominees.reads_per_s, verdicts == Verdict.BACKED_OFF, self._threshold_reads_per_s
        )
        election = self._elector.elect(nominees.reads_per_s, eligible, seen)
        self._threshold_reads_per_s = election.threshold_reads_per_s
        losers = Verdict.NO_PROFIT if election.migrating else Verdict.STOPPED
        verdicts[eligible & ~election.wins] = losers
        beyond = np.cumsum(verdicts == Verdict.PROMOTE) > max(0, seen.budget_pages)
        verdicts[beyond & (verdicts == Verdict.PROMOTE)] = Verdict.OVER_BUDGET
        return Decision(
            candidates=nominees.pages,
            verdicts=verdicts,
            reads_per_s=nominees.reads_per_s,
            next_round_ns=round(NS_PER_S / self._pace_hz(nominees, election)),
            reason=election.reason,
        )

    def _pace_hz(self, nominees: Nominees, election: Election) -> float:
        """The elector's pace; faster while many pages lack only their second list."""
        pending = (nominees.verdicts == Verdict.ONE_OFF) & (
            nominees.reads_per_s > election.threshold_reads_per_s
        )
        count = int(pending.sum())
        if election.wins.any() or count < self.settings.elector.stop_below_pages:
            self._hurried = 0
        else:
            self._hurried += 1
        if self._hurried > _HURRIES:
            return election.frequency_hz
        return max(election.frequency_hz, self._elector.pace_hz(0.0, count))

    def settle(self, outcome: Outcome) -> None:
        """See Policy.settle."""
        self._nominator.settle(outcome)

    def reconfigure(self, settings: PolicySettings) -> None:
        """See Policy.reconfigure: the elector keeps its state, the heat only if its shape stays."""
        if settings.nominator != self.settings.nominator:
            self._nominator = Nominator(settings.nominator)
        self._elector.settings = settings.elector
        super().reconfigure(settings)

    def snapshot(self) -> dict[str, Any]:
        """See Policy.snapshot: heat is too short-lived to be worth keeping."""
        return {"migrating": self._elector.migrating}

    def restore(self, state: dict[str, Any]) -> None:
        """See Policy.restore."""
        self._elector.migrating = bool(state.get("migrating", True))
