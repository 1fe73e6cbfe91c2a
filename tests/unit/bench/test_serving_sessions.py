"""The sessions that bench.serving plays: their shape, and the traces that they are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import ConfigError

from bench.serving_sessions import Population, Scale
from bench.serving_traces import load_source

SOURCE = load_source(None, None)
SCALE = Scale(4096, tokens=0.25, turn_tokens_max=384, answer_tokens_max=64)
# So long that nothing is cut off.
ENDLESS = Scale(10**9, tokens=0.25, turn_tokens_max=384, answer_tokens_max=64)


def test_numbers_of_turns_are_as_in_sharegpt() -> None:
    """Median 3, mean 7, before any session is cut off by the context."""
    population = Population(SOURCE, ENDLESS, 1)
    counts = [len(population.turns(1.0)) for _ in range(20_000)]
    assert np.median(counts) == 3
    assert np.mean(counts) == pytest.approx(7, rel=0.06)


@given(
    seed=st.integers(0, 1000),
    rate=st.floats(0.05, 1),
    think_s=st.floats(0.5, 10),
    context=st.integers(512, 8192),
)
@settings(max_examples=10, deadline=None)
def test_every_session_fits_the_context_and_comes_in_time(
    seed: int, rate: float, think_s: float, context: int
) -> None:
    scale = Scale(context, tokens=0.25, turn_tokens_max=384, answer_tokens_max=64)
    (load,) = Population(SOURCE, scale, seed).steady([rate], think_s, 5.0, 20.0)
    for one in load.sessions:
        assert one.turns
        assert one.tokens <= context
        assert one.start_s >= 0
        assert all(1 <= turn.user_tokens <= 384 for turn in one.turns)
        assert all(1 <= turn.answer_tokens <= 64 for turn in one.turns)
    assert len({one.number for one in load.sessions}) == len(load.sessions)


def test_a_load_is_the_same_for_the_same_seed() -> None:
    loads = [Population(SOURCE, SCALE, seed).steady([1.0], 5.0, 5.0, 20.0) for seed in (3, 3, 4)]
    assert loads[0] == loads[1] != loads[2]


def test_a_load_is_steady_from_its_beginning_on() -> None:
    """As many turns come in its first seconds as in its last, were each answered at once."""
    population, rate = Population(SOURCE, SCALE, 2), 6.0
    (load,) = population.steady([rate], 2.0, 0.0, 200.0)
    counts = [
        replace(load, warm_s=begin_s, end_s=begin_s + 40.0).turns_in_window
        for begin_s in (0.0, 80.0, 160.0)
    ]
    expected = rate * population.mean_turns * 40
    assert counts == pytest.approx([expected] * 3, rel=0.2)


RATES = (0.2, 0.5, 1.0)


def test_short_loads_ask_for_what_their_rates_say() -> None:
    population = Population(SOURCE, SCALE, 3)
    for rate, load in zip(RATES, population.steady(RATES, 4.0, 3.0, 63.0), strict=True):
        expected = rate * population.mean_turns * 60
        assert load.turns_in_window == pytest.approx(expected, rel=0.15)


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_higher_load_has_all_of_a_lower_one_and_more(seed: int) -> None:
    low, middle, high = Population(SOURCE, SCALE, seed).steady(RATES, 2.0, 3.0, 33.0)
    assert (low.rate, middle.rate, high.rate) == RATES
    assert set(low.sessions) < set(middle.sessions) < set(high.sessions)


@pytest.mark.parametrize("speed", [2, 1.1, 1 / 3])
def test_another_machine_has_the_same_sessions_in_its_own_time(speed: float) -> None:
    ones, others = (
        Population(SOURCE, SCALE, 1).steady(
            [rate * fast for rate in RATES], 2.0 / fast, 3.0 / fast, 33.0 / fast
        )
        for fast in (1, speed)
    )
    for one, other in zip(ones, others, strict=True):
        assert [session.tokens for session in one.sessions] == [
            session.tokens for session in other.sessions
        ]
        assert [session.start_s for session in one.sessions] == pytest.approx(
            [speed * session.start_s for session in other.sessions]
        )


def test_users_think_for_as_long_as_is_asked_in_the_mean() -> None:
    population = Population(SOURCE, SCALE, 1)
    pauses_s = [turn.think_s for _ in range(4000) for turn in population.turns(7.0)]
    assert np.mean(pauses_s) == pytest.approx(7.0, rel=0.05)


def test_a_crowd_comes_at_once_and_does_not_think() -> None:
    load = Population(SOURCE, SCALE, 1).at_once(20)
    assert len(load.sessions) == 20
    assert {one.start_s for one in load.sessions} == {0.0}
    assert {turn.think_s for one in load.sessions for turn in one.turns} == {0.0}


def test_crowds_of_the_same_size_have_about_as_much_to_say() -> None:
    """Sessions themselves differ by more than ten times."""
    crowds = [Population(SOURCE, SCALE, seed).at_once_alike(4) for seed in range(20)]
    assert len({one.sessions for one in crowds}) == 20
    said = [one.tokens for one in crowds]
    assert max(said) < 2 * min(said)
    alone = [one.tokens for crowd in crowds for one in crowd.sessions]
    assert max(alone) > 10 * min(alone)


def mooncake(path: Path, *requests: tuple[int, int, int, list[int]]) -> Path:
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    path.write_text(
        "".join(json.dumps(dict(zip(names, one, strict=True))) + "\n" for one in requests)
    )
    return path


def test_mooncakes_turns_are_found_by_their_blocks(tmp_path: Path) -> None:
    """The first block is that of a prompt which all sessions share."""
    path = mooncake(
        tmp_path / "trace.jsonl",
        (0, 1000, 100, [0, 1]),
        (1000, 2000, 100, [0, 5, 6, 7]),
        (60_000, 1150, 80, [0, 1, 2]),
        (90_000, 1300, 80, [0, 1, 2]),
        (95_000, 900, 80, [0, 9]),
    )
    found = load_source(None, path)
    assert found.added.tolist() == [50, 70]
    assert found.pauses_s.tolist() == [60, 30]


def test_azures_contexts_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n1,374,44\n2,396,109\n")
    found = load_source(path, None)
    assert (found.first.tolist(), found.answers.tolist()) == ([374, 396], [44, 109])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "columns"),
        ("ContextTokens,GeneratedTokens\n", "no request"),
        ("ContextTokens,GeneratedTokens\n1,2\n3,many\n", ":3: 'many'"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        load_source(path, None)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"), [('{"timestamp": 1}\n', ":1: .*input_length"), ("{", ":1: ")]
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_source(None, path)
