"""A user's policy that errs: the round is lost or put right, and the daemon goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiermem.errors import ConfigError, KernelError
from tiermem.m5.engine import Engine
from tiermem.m5.observation import Decision, Observation, Outcome, Verdict
from tiermem.m5.policy import Policy, PolicySettings
from tiermem.m5.policy_guard import PolicyGuard

from tests.unit.m5.lists import ROUND_NS
from tests.unit.m5.test_engine import FIRST, asked, engine


class Greedy(Policy):
    """Promotes all that is listed, and forgets that there is a budget."""

    settled: Outcome | None = None

    def decide(self, seen: Observation) -> Decision:
        found = np.concatenate([one.pages for one in seen.lists])
        none = np.zeros(found.size)
        return Decision(found, none.astype(np.uint8), none, ROUND_NS, "all of it")

    def settle(self, outcome: Outcome) -> None:
        self.settled = outcome


class Spoilt(Greedy):
    """Answers as Greedy does, but for `spoil`."""

    spoil: dict[str, Any] = {}  # noqa: RUF012

    def decide(self, seen: Observation) -> Decision:
        return replace(super().decide(seen), **self.spoil)


class Failing(Greedy):
    """Raises wherever it is told to."""

    fails: str = ""

    def decide(self, seen: Observation) -> Decision:
        self._fail("decide")
        return super().decide(seen)

    def settle(self, outcome: Outcome) -> None:
        self._fail("settle")

    def snapshot(self) -> dict[str, Any]:
        self._fail("snapshot")
        return {"seen": object()}

    def restore(self, state: dict[str, Any]) -> None:
        self._fail("restore")

    def reconfigure(self, settings: PolicySettings) -> None:
        self._fail("reconfigure")

    def _fail(self, method: str) -> None:
        if method == self.fails:
            raise KeyError(method)


def tiering(root: Path, policy: Policy, **other: Any) -> Engine:
    made = engine(root, dict.fromkeys(range(20), 100), **other)
    made.parts.policy = policy
    return made


def test_what_is_beyond_the_budget_stays_and_says_so(tmp_path: Path) -> None:
    policy = Greedy(PolicySettings())
    made = tiering(tmp_path, policy, limit_pages=8)
    one = made.run_round(ROUND_NS)
    budget = one.moved_pages
    assert 0 < budget <= 8
    assert asked(made) == [(0, [FIRST + page for page in range(budget)])]
    assert one.decision.counts()[Verdict.OVER_BUDGET] == 20 - budget
    assert policy.settled is not None
    assert policy.settled.moved.size == budget


def test_a_dry_run_says_the_same(tmp_path: Path) -> None:
    made = tiering(tmp_path, Greedy(PolicySettings()), limit_pages=8, dry_run=True)
    assert made.run_round(ROUND_NS).decision.counts()[Verdict.OVER_BUDGET] >= 12


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"verdicts": np.zeros(3, dtype=np.uint8)}, "of one length"),
        ({"reads_per_s": np.zeros(3)}, "of one length"),
        ({"candidates": np.zeros((20, 1), dtype=np.uint64)}, "of one length"),
        ({"verdicts": np.full(20, 99, dtype=np.uint8)}, "99 is no Verdict"),
        ({"next_round_ns": 0}, "must be above 0"),
        ({"next_round_ns": None}, "TypeError"),
    ],
)
def test_an_answer_that_does_not_fit_loses_the_round(
    tmp_path: Path, spoil: dict[str, Any], said: str
) -> None:
    policy = Spoilt(PolicySettings())
    policy.spoil = spoil
    made = tiering(tmp_path, policy)
    one = made.run_round(ROUND_NS)
    assert said in made.guard.trouble
    assert (one.moved_pages, asked(made)) == (0, [])
    assert one.decision.next_round_ns > 0


def test_a_policy_that_raises_loses_the_round_and_the_next_one_tries(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = Failing(PolicySettings())
    policy.fails = "decide"
    made = tiering(tmp_path, policy)
    for number in (1, 2, 3):
        made.run_round(number * ROUND_NS)
    assert made.guard.trouble == "the policy's decide failed: KeyError: 'decide'"
    assert len(caplog.records) == 1  # the same mistake fills no log
    policy.fails = ""
    assert made.run_round(4 * ROUND_NS).moved_pages == 20
    assert made.guard.trouble == ""


def test_one_that_cannot_hear_the_outcome_does_not_undo_it(tmp_path: Path) -> None:
    policy = Failing(PolicySettings())
    policy.fails = "settle"
    made = tiering(tmp_path, policy)
    assert made.run_round(ROUND_NS).moved_pages == 20
    assert "settle failed" in made.guard.trouble


def test_a_tracker_s_failure_is_still_the_caller_s(tmp_path: Path) -> None:
    made = tiering(tmp_path, Greedy(PolicySettings()))

    def fail(now_ns: int) -> Any:
        raise KernelError("query", 19)

    made.parts.tracker.lists = fail  # type: ignore[method-assign]
    with pytest.raises(KernelError):
        made.run_round(ROUND_NS)


def test_what_it_wants_kept_but_json_cannot_hold_is_left_out() -> None:
    guard, policy = PolicyGuard(), Failing(PolicySettings())
    assert guard.snapshot(policy) == {}
    assert "snapshot failed" in guard.trouble


def test_failing_to_take_up_what_was_kept_is_no_reason_not_to_start() -> None:
    guard, policy = PolicyGuard(), Failing(PolicySettings())
    policy.fails = "restore"
    guard.restore(policy, {})
    assert "restore failed" in guard.trouble


def test_settings_that_it_does_not_take_are_refused() -> None:
    guard, policy = PolicyGuard(), Failing(PolicySettings())
    policy.fails = "reconfigure"
    with pytest.raises(ConfigError, match="reconfigure failed"):
        guard.reconfigure(policy, PolicySettings())
