"""Finding a policy, and what the built-in one does round after round."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import ConfigError
from tiermem.m5.elector import ElectorSettings
from tiermem.m5.nominator import NominatorSettings
from tiermem.m5.observation import Outcome, Verdict
from tiermem.m5.policy import Policy, PolicySettings, load_policy, policy_names

from tests.unit.m5.lists import ROUND_NS, pages, seen

HPT = PolicySettings(nominator=NominatorSettings(mode="hpt", min_visits=1))


def test_the_built_in_policy_is_listed() -> None:
    assert policy_names() == ["density"]


def test_a_user_s_class_is_found_by_module_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_policies.py").write_text(
        "from tiermem.m5.density_policy import DensityPolicy\n"
        "class Mine(DensityPolicy): pass\n"
        "class Other: pass\n"
        "class Broken(DensityPolicy):\n"
        "    def __init__(self, settings): raise KeyError('threshold')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(load_policy("my_policies:Mine", HPT)).__name__ == "Mine"
    for name, said in (
        ("my_policies:Other", "derived from"),
        ("my_policies:Absent", "no class"),
        ("my_policies:Broken", "threshold"),
        ("no_such_module:Mine", "cannot import"),
        ("nonsense", "density"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_policy(name, HPT)
    sys.modules.pop("my_policies")


@settings(max_examples=60)
@given(
    st.lists(st.dictionaries(st.integers(0, 300), st.integers(1, 10_000)), max_size=8),
    st.integers(0, 200),
)
def test_it_never_promotes_more_than_the_budget_nor_what_was_not_listed(
    rounds: list[dict[int, int]], budget: int
) -> None:
    policy = load_policy("density", HPT)
    for number, hot in enumerate(rounds, 1):
        decision = policy.decide(seen(number * ROUND_NS, lists=(pages(hot),), budget_pages=budget))
        chosen = decision.promote.tolist()
        assert len(chosen) <= budget
        assert set(chosen) <= set(hot)
        assert len(set(decision.candidates.tolist())) == decision.candidates.size
        assert decision.next_round_ns > 0
        nothing = np.empty(0, dtype=np.uint64)
        policy.settle(Outcome(number * ROUND_NS, decision.promote, nothing))


def stop(policy: Policy) -> int:
    """Rounds without anything hot until it stops; the time after them."""
    now_ns = 0
    for _ in range(10):
        now_ns += ROUND_NS
        policy.decide(seen(now_ns, lists=(pages({}),)))
    return now_ns


def test_stopped_it_moves_nothing_until_pages_gain_clearly() -> None:
    policy = load_policy("density", HPT)
    now_ns = stop(policy) + ROUND_NS
    decision = policy.decide(seen(now_ns, lists=(pages({1: 500, 2: 500}),)))
    assert decision.verdicts.tolist() == [Verdict.STOPPED, Verdict.STOPPED]
    now_ns += ROUND_NS
    many = pages(dict.fromkeys(range(100), 500))
    assert policy.decide(seen(now_ns, lists=(many,))).promote.size == 100


def test_being_stopped_survives_a_restart() -> None:
    policy = load_policy("density", HPT)
    stop(policy)
    again = load_policy("density", HPT)
    again.restore(policy.snapshot())
    decision = again.decide(seen(ROUND_NS, lists=(pages({1: 500}),)))
    assert decision.verdicts.tolist() == [Verdict.STOPPED]


def test_new_settings_apply_at_once_and_heat_is_kept() -> None:
    two_lists = PolicySettings(nominator=NominatorSettings(mode="hpt", min_visits=2))
    policy = load_policy("density", two_lists)
    policy.decide(seen(ROUND_NS, lists=(pages({1: 100}),)))
    strict = two_lists.model_copy(update={"elector": ElectorSettings(payback_s=0.001)})
    policy.reconfigure(strict)
    decision = policy.decide(seen(2 * ROUND_NS, lists=(pages({1: 100}),)))
    assert decision.verdicts.tolist() == [Verdict.NO_PROFIT]


def test_pages_that_lack_only_a_second_list_bring_the_next_round_forward() -> None:
    policy = load_policy("density", PolicySettings(nominator=NominatorSettings(mode="hpt")))
    quiet = policy.decide(seen(ROUND_NS, lists=(pages({}),), slow_page_reads_per_s=1.0))
    calm = seen(2 * ROUND_NS, lists=(pages({1: 100}),), fast_page_reads_per_s=10.0)
    hot = dict.fromkeys(range(600), 100)
    jump = seen(3 * ROUND_NS, lists=(pages(hot),), fast_page_reads_per_s=10.0)
    assert policy.decide(jump).next_round_ns < policy.decide(calm).next_round_ns
    assert quiet.next_round_ns > 0


def test_a_scan_does_not_keep_it_hurrying() -> None:
    policy = load_policy("density", PolicySettings(nominator=NominatorSettings(mode="hpt")))
    paces = []
    for step in range(1, 12):
        passing = dict.fromkeys(range(step * 1000, (step + 1) * 1000), 64)
        decision = policy.decide(
            seen(step * ROUND_NS, lists=(pages(passing),), fast_page_reads_per_s=10.0)
        )
        paces.append(decision.next_round_ns)
    assert paces[-1] > paces[0]
