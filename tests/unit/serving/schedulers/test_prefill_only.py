"""PrefillOnly's policy: which request runs next, and what becomes of a queue over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.schedulers.prefill_only import Candidate, choose, choose_together, score_s
from tiermem.serving.schedulers.prefill_time import PrefillTime

from tests.unit.serving.schedulers.prefill_queue import (
    Asked,
    Choose,
    Served,
    first_come,
    serve,
    shortest_input,
)

TOKENS_PER_S = 1000
time = PrefillTime.assumed(TOKENS_PER_S)


def calibrated(fairness: float) -> Choose:
    def of(waiting: Sequence[Candidate], now_s: float) -> Candidate:
        chosen = choose(waiting, now_s, time, fairness)
        assert chosen is not None
        return chosen

    return of


def test_the_shortest_runs_first_and_what_is_cached_makes_it_short() -> None:
    whole = Candidate("whole", 0.0, 300, 0)
    cached = Candidate("cached", 0.0, 1000, 900)
    assert choose([whole, cached], 0.0, time, 0.1) == cached
    assert choose([whole], 0.0, time, 0.1) == whole
    assert choose([], 0.0, time, 0.1) is None


def test_who_has_waited_long_enough_runs_before_a_shorter_one() -> None:
    """900 tokens more are 0.9 s of prefill: outweighed by 9 s more of waiting, at 0.1."""
    long, short = Candidate("long", 0.0, 1000, 0), Candidate("short", 8.9, 100, 0)
    assert choose([long, short], 10.0, time, fairness=0.1) == short
    short = Candidate("short", 9.1, 100, 0)
    assert choose([long, short], 10.0, time, fairness=0.1) == long


def test_of_equals_the_first_runs() -> None:
    waiting = [Candidate("b", 0.0, 9, 0), Candidate("a", 0.0, 9, 0), Candidate("0", 1.0, 9, 0)]
    assert choose(waiting, 0.5, time, 0.1) == waiting[1]


A, B, C, D = (
    Asked("A", 0.0, "one", 1000, 100),
    Asked("B", 0.0, "two", 1000, 200),
    Asked("C", 0.0, "two", 1000, 300),
    Asked("D", 0.0, "one", 1000, 400),
)


@pytest.mark.parametrize(
    ("policy", "order", "hits"),
    [
        (calibrated(0.05), "ADBC", "DC"),
        (first_come, "ABCD", "C"),
        (shortest_input, "ABCD", "C"),
    ],
)
def test_two_prefixes_of_which_one_is_kept(policy: Choose, order: str, hits: str) -> None:
    """Once A has run, D is the shortest, long as it is: only its suffix is left to compute."""
    served = serve([A, B, C, D], 1500, time.seconds, policy)
    assert "".join(served.order) == order
    assert "".join(served.hits) == hits


def posts(seed: int) -> list[Asked]:
    """Users with long histories, of whom each asks about some posts, at about what is served."""
    random = Random(seed)
    users = [(f"user {number}", random.randrange(1100, 1700)) for number in range(10)]
    return [
        Asked(f"{number:03}", random.uniform(0, 90), *random.choice(users), 15)
        for number in range(150)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_more_hits_and_less_waiting_than_by_arrival_or_by_length(seed: int) -> None:
    asked = posts(seed)
    ours = serve(asked, 4000, time.seconds, calibrated(0.02))
    theirs = serve(asked, 4000, time.seconds, first_come)
    static = serve(asked, 4000, time.seconds, shortest_input)
    assert len(ours.hits) >= len(static.hits)
    assert len(ours.hits) > 1.5 * len(theirs.hits)
    for other in (theirs, static):
        assert mean(ours.waited_s.values()) < 0.5 * mean(other.waited_s.values())
        assert max(ours.waited_s.values()) < 0.5 * max(other.waited_s.values())


@st.composite
def arrivals(draw: st.DrawFn) -> list[Asked]:
    prefixes = [("one", 500), ("two", 800), ("three", 50)]
    return [
        Asked(
            f"{number:02}",
            draw(st.integers(0, 50)) / 10,
            *draw(st.sampled_from(prefixes)),
            draw(st.integers(1, 2000)),
        )
        for number in range(draw(st.integers(1, 20)))
    ]


def serve_ours(asked: list[Asked], fairness: float) -> Served:
    return serve(asked, 1000, time.seconds, calibrated(fairness))


@given(arrivals(), st.sampled_from([0.02, 0.1, 1.0]))
def test_nobody_is_passed_by_who_comes_much_later(asked: list[Asked], fairness: float) -> None:
    """Who comes more than T / fairness after a request of T seconds runs after it."""
    served = serve_ours(asked, fairness)
    assert sorted(served.order) == [one.key for one in asked]
    place = {key: at for at, key in enumerate(served.order)}
    for one in asked:
        whole_s = time.seconds(one.prefix_tokens + one.suffix_tokens)
        for other in asked:
            if other.at_s > one.at_s + whole_s / fairness:
                assert place[one.key] < place[other.key]


@given(arrivals())
def test_it_is_idle_only_while_nobody_waits(asked: list[Asked]) -> None:
    served = serve_ours(asked, 0.1)
    at_work_s = max(served.waited_s[one.key] + one.at_s for one in asked) - served.idle_s
    hit_tokens = sum(
        next(one.prefix_tokens for one in asked if one.key == key) for key in served.hits
    )
    tokens = sum(one.prefix_tokens + one.suffix_tokens for one in asked) - hit_tokens
    assert at_work_s == pytest.approx(tokens / TOKENS_PER_S)


candidates = st.builds(
    Candidate,
    st.text("abc", min_size=1, max_size=3),
    st.integers(0, 100).map(float),
    st.integers(100, 500),
    st.integers(0, 99),
)


@given(st.lists(candidates, min_size=1), st.sampled_from([0.001, 0.01, 0.5]))
def test_the_choice_is_the_first_of_all_in_order_of_score(
    waiting: list[Candidate], fairness: float
) -> None:
    chosen = choose(waiting, 100.0, time, fairness)
    assert chosen is not None

    def score(one: Candidate) -> float:
        computed = one.input_tokens - one.cached_tokens
        return computed / TOKENS_PER_S - fairness * (100.0 - one.arrival_s)

    assert score(chosen) <= min(map(score, waiting)) + 1e-9


@given(
    st.lists(candidates, unique_by=lambda one: one.key),
    st.sampled_from([0.001, 0.01, 0.5]),
    st.integers(1, 5),
    st.integers(0, 800),
)
def test_who_runs_together_are_the_first_in_order_and_short(
    waiting: list[Candidate], fairness: float, count_max: int, tokens_max: int
) -> None:
    """So nobody is passed; one more would be too many, or too long; and somebody always runs."""
    chosen = choose_together(
        waiting, 100.0, time, fairness, count_max=count_max, tokens_max=tokens_max
    )

    def tokens(of: Sequence[Candidate]) -> int:
        return sum(one.input_tokens - one.cached_tokens for one in of)

    order = sorted(
        waiting, key=lambda one: (score_s(one, 100.0, time, fairness), one.arrival_s, one.key)
    )
    assert list(chosen) == order[: len(chosen)]
    assert bool(chosen) == bool(waiting)
    assert chosen[:1] == [one for one in [choose(waiting, 100.0, time, fairness)] if one]
    assert len(chosen) <= count_max
    assert len(chosen) <= 1 or tokens(chosen) <= tokens_max
    more = order[: len(chosen) + 1]
    assert len(more) == len(chosen) or len(chosen) == count_max or tokens(more) > tokens_max


def test_a_long_one_waits_for_no_more_than_so_many_tokens_of_those_before_it() -> None:
    short = [Candidate(str(number), 0.0, 1100, 1060) for number in range(20)]
    long = Candidate("long", -30.0, 1000, 0)
    chosen = choose_together(
        [*short, long], 0.0, time, fairness=0.001, count_max=64, tokens_max=256
    )
    assert len(chosen) == 6
    assert choose_together(
        [*short, long], 0.0, time, fairness=0.1, count_max=64, tokens_max=256
    ) == [long]


def test_without_cache_and_with_much_fairness_it_is_first_come_first_served() -> None:
    asked = posts(0)
    served = partial(serve, asked, 0, time.seconds)
    assert served(calibrated(1e6)).order == served(first_come).order
