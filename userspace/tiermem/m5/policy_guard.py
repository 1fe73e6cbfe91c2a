"""Stands between the daemon and a policy: what a user's class gets wrong costs a round, no more.

A built-in policy passes through as it is; one of a user's own may raise, answer
with arrays that do not fit, or name more pages than the rate limit allows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tiermem.errors import ConfigError
from tiermem.m5.observation import Decision, Observation, Outcome, Verdict
from tiermem.m5.policy import Policy, PolicySettings

_LOST_ROUND_NS = 1_000_000_000

_log = logging.getLogger(__name__)


class PolicyGuard:
    """Calls a policy's methods. `trouble` says what went wrong in the last round, if anything."""

    def __init__(self) -> None:
        self.trouble = ""
        self._logged = ""

    def decide(self, policy: Policy, seen: Observation) -> Decision:
        """The policy's decision, within the budget; one that does nothing where it failed."""
        self.trouble = ""
        try:
            return _within_budget(_checked(policy.decide(seen)), seen.budget_pages)
        except Exception as error:  # a user's class may fail in any way
            self._failed("decide", error)
        return Decision(
            candidates=np.empty(0, dtype=np.uint64),
            verdicts=np.empty(0, dtype=np.uint8),
            reads_per_s=np.empty(0, dtype=np.float64),
            next_round_ns=_LOST_ROUND_NS,
            reason=self.trouble,
        )

    def settle(self, policy: Policy, outcome: Outcome) -> None:
        """Tell the policy what became of its decision."""
        self._quietly("settle", lambda: policy.settle(outcome))

    def snapshot(self, policy: Policy) -> dict[str, Any]:
        """What the policy wants kept; nothing where it failed, or JSON cannot hold it."""
        try:
            state = policy.snapshot()
            json.dumps(state)
            return dict(state)
        except Exception as error:
            self._failed("snapshot", error)
        return {}

    def restore(self, policy: Policy, state: dict[str, Any]) -> None:
        """Give the policy what it had kept."""
        self._quietly("restore", lambda: policy.restore(state))

    def reconfigure(self, policy: Policy, settings: PolicySettings) -> None:
        """Give the policy new settings; ConfigError where it does not take them."""
        try:
            policy.reconfigure(settings)
        except Exception as error:
            self._failed("reconfigure", error)
            raise ConfigError(self.trouble) from error

    def _quietly(self, method: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._failed(method, error)

    def _failed(self, method: str, error: Exception) -> None:
        self.trouble = f"the policy's {method} failed: {type(error).__name__}: {error}"
        # Once for each mistake: it may well be made several times a second.
        if self.trouble != self._logged:
            _log.error("%s", self.trouble, exc_info=error)
            self._logged = self.trouble


def _checked(decision: Decision) -> Decision:
    """`decision` with its arrays as promised; ValueError where they cannot be."""
    candidates = np.asarray(decision.candidates, dtype=np.uint64)
    verdicts = np.asarray(decision.verdicts, dtype=np.uint8)
    reads_per_s = np.asarray(decision.reads_per_s, dtype=np.float64)
    lengths = (candidates.shape, verdicts.shape, reads_per_s.shape)
    if candidates.ndim != 1 or len(set(lengths)) != 1:
        raise ValueError(
            "candidates, verdicts and reads_per_s must be arrays of one length; their shapes "
            f"are {lengths[0]}, {lengths[1]}, {lengths[2]}"
        )
    if verdicts.size and verdicts.max() > max(Verdict):
        raise ValueError(f"{verdicts.max()} is no Verdict; they end at {int(max(Verdict))}")
    if not decision.next_round_ns > 0:
        raise ValueError(f"next_round_ns is {decision.next_round_ns}; it must be above 0")
    return replace(decision, candidates=candidates, verdicts=verdicts, reads_per_s=reads_per_s)


def _within_budget(decision: Decision, budget_pages: int) -> Decision:
    """`decision` with what it would promote beyond the budget marked OVER_BUDGET."""
    promote = decision.verdicts == Verdict.PROMOTE
    beyond = promote & (np.cumsum(promote) > max(0, budget_pages))
    if not beyond.any():
        return decision
    verdicts = decision.verdicts.copy()
    verdicts[beyond] = Verdict.OVER_BUDGET
    return replace(decision, verdicts=verdicts)
