"""The built-in policy `density`: Nominator, then Elector, within the rate limit."""

from __future__ import annotations

from typing import Any

import numpy as np

from tiermem.m5.elector import Elector
from tiermem.m5.nominator import Nominator
from tiermem.m5.observation import Decision, Observation, Outcome, Verdict
from tiermem.m5.policy import Policy, PolicySettings, register_policy

NS_PER_S = 1_000_000_000


@register_policy("density")
class DensityPolicy(Policy):
    """M5's manager: priority by bandwidth density, dense pages first, frequency by benefit."""

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__(settings)
        self._nominator = Nominator(settings.nominator)
        self._elector = Elector(settings.elector)

    def decide(self, seen: Observation) -> Decision:
        """See Policy.decide."""
        nominees = self._nominator.nominate(seen.lists, seen.now_ns)
        verdicts = nominees.verdicts.copy()
        eligible = verdicts == Verdict.PROMOTE
        election = self._elector.elect(nominees.reads_per_s, eligible, seen)
        losers = Verdict.NO_PROFIT if election.migrating else Verdict.STOPPED
        verdicts[eligible & ~election.wins] = losers
        beyond = np.cumsum(verdicts == Verdict.PROMOTE) > max(0, seen.budget_pages)
        verdicts[beyond & (verdicts == Verdict.PROMOTE)] = Verdict.OVER_BUDGET
        return Decision(
            candidates=nominees.pages,
            verdicts=verdicts,
            reads_per_s=nominees.reads_per_s,
            next_round_ns=round(NS_PER_S / election.frequency_hz),
            reason=election.reason,
        )

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
