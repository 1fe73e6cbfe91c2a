"""A function gets more local memory while it is late and there is some, and gives it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.tiering import ORDER, PolicyChooser, TieringSettings

SETTINGS = TieringSettings(calls=10)


def after(chooser: PolicyChooser, calls: int, *, met: bool, used_share: float) -> Policy:
    for _ in range(calls):
        chooser.note(met, used_share)
    return chooser.policy


def test_a_function_that_meets_its_objective_shares_all_it_can() -> None:
    assert after(PolicyChooser(SETTINGS), 1000, met=True, used_share=0.2) is Policy.MOW


def test_one_that_is_late_gets_its_hot_pages_and_then_all_copied() -> None:
    chooser = PolicyChooser(SETTINGS)
    assert after(chooser, 9, met=False, used_share=0.2) is Policy.MOW
    assert after(chooser, 1, met=False, used_share=0.2) is Policy.HT
    assert after(chooser, 10, met=False, used_share=0.2) is Policy.MOA
    assert after(chooser, 10, met=False, used_share=0.2) is Policy.MOA


def test_late_or_not_it_shares_again_where_memory_is_short() -> None:
    chooser = PolicyChooser(SETTINGS, Policy.MOA)
    assert after(chooser, 10, met=False, used_share=0.95) is Policy.HT
    assert after(chooser, 10, met=True, used_share=0.95) is Policy.MOW


def test_between_roomy_and_short_nothing_changes() -> None:
    chooser = PolicyChooser(SETTINGS, Policy.HT)
    assert after(chooser, 100, met=False, used_share=0.8) is Policy.HT


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1.5)), max_size=200))
def test_it_moves_one_step_at_a_time_and_only_every_so_many_calls(
    calls: list[tuple[bool, float]],
) -> None:
    chooser = PolicyChooser(SETTINGS)
    places = [0] + [ORDER.index(chooser.note(*call)) for call in calls]
    changes = [n for n in range(1, len(places)) if places[n] != places[n - 1]]
    assert all(abs(places[n] - places[n - 1]) == 1 and n % 10 == 0 for n in changes)
