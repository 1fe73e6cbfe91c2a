"""A row's own code between hosts whose caches do not know of each other.

A reader finds a whole row, the last one published before it began or a later one,
whenever it looks and whenever the writer dies; and each write-back, invalidation and
fence is needed: left out, something else is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._row_model import ffi, lib

NOTHING = -1
SEEDS = 3000


@dataclass(frozen=True)
class Weather:
    """What happens unasked, in 1/1000 of the accesses; see incoherent.h."""

    evict: int = 20
    prefetch: int = 50
    settle: int = 100
    turn: int = 30


def run(
    weather: Weather,
    *,
    seed: int,
    rows: int = 20,
    words: int = 32,
    dies_at: int = 0,
    left_out: int = NOTHING,
) -> object:
    trial = ffi.new("struct row_trial *")
    trial.rows, trial.words, trial.dies_at = rows, words, dies_at
    trial.left_out, trial.seed, trial.turn = left_out, seed, weather.turn
    trial.evict, trial.prefetch, trial.settle = weather.evict, weather.prefetch, weather.settle
    return lib.row_model_run(trial)


weathers = st.builds(
    Weather,
    evict=st.integers(0, 300),
    prefetch=st.integers(0, 300),
    settle=st.integers(0, 500),
    turn=st.integers(0, 200),
)


@settings(max_examples=200, deadline=None)
@given(weathers, st.integers(0, 2**63), st.integers(1, 64))
def test_a_reader_finds_the_last_row_whole_in_any_weather(
    weather: Weather, seed: int, words: int
) -> None:
    verdict = run(weather, seed=seed, words=words)
    assert (verdict.outcome, verdict.published) == (lib.ROW_ALL_WELL, 20)


def test_torn_rows_are_seen_and_the_older_one_is_used() -> None:
    verdict = run(Weather(turn=100), seed=1, rows=500)
    assert verdict.outcome == lib.ROW_ALL_WELL
    assert verdict.torn > 50


@settings(max_examples=300, deadline=None)
@given(weathers, st.integers(0, 2**63), st.integers(1, 800))
def test_a_writer_that_loses_power_leaves_the_row_before_or_the_new_one(
    weather: Weather, seed: int, dies_at: int
) -> None:
    assert run(weather, seed=seed, dies_at=dies_at).outcome == lib.ROW_ALL_WELL


def sites() -> list[tuple[int, str]]:
    number, does = ffi.new("int32_t *"), ffi.new("char const **")
    count = run(Weather(), seed=1).sites
    found = []
    for index in range(count):
        name = ffi.string(lib.row_model_site(index, number, does)).decode()
        found.append((int(number[0]), f"{name}: {ffi.string(does[0]).decode()}"))
    return found


@pytest.mark.parametrize(("site", "name"), sites())
def test_each_write_back_invalidation_and_fence_is_needed(site: int, name: str) -> None:
    slow = Weather(evict=5, prefetch=20, settle=5)
    assert any(
        run(slow, seed=seed, left_out=site).outcome != lib.ROW_ALL_WELL for seed in range(SEEDS)
    ), f"nobody misses {name}"


def test_all_of_them_were_come_by() -> None:
    assert sorted(name for _, name in sites()) == [
        "drop: fence",
        "drop: invalidate",
        "row_newest: fence",
        "row_newest: invalidate",
        "row_newest: invalidate",
        "row_publish: fence",
        "row_publish: write back",
    ]
