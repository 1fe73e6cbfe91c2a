"""bench.serving's loads on real engines: what is asked, what is heard, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.serving_configurations import ALL, VLLM, Size, engines
from bench.serving_engine import started
from bench.serving_figures import BELOW, MEMORY, SSD, hit_places, wrong_tokens
from bench.serving_play import Played, Player
from bench.serving_sessions import Load, Session, Turn
from bench.serving_text import Text
from bench.smollm2 import model_folder

# Each engine has room for one session at a time, or a little more.
SIZE = Size("float32", 320, kv_tokens=320, dram_tokens=320, cxl_tokens=320, ssd_tokens=1 << 14)
TURNS = (Turn(70, 6, 0.0), Turn(70, 6, 0.2), Turn(70, 6, 0.0))
LOAD = Load(0.0, 0.0, 1e9, 1, tuple(Session(one, 0.0, 0, TURNS) for one in range(3)))


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(model_folder("float32"))


@pytest.fixture(scope="module", params=[VLLM, ALL])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    spec = engines(SIZE, tmp_path_factory.mktemp("ssd"))[request.param]
    with started(spec) as running:
        yield spec.name, running


@pytest.fixture(scope="module")
def said() -> dict[str, Played]:
    """What was played with engines that choose their answers, by configuration."""
    return {}


def test_every_turn_is_asked_and_answered_once(engine: tuple[str, Any], text: Text) -> None:
    name, running = engine
    found = Player(running, name, LOAD, text).play()
    assert len(found.requests) == len(LOAD.sessions) * len(TURNS)
    assert all(one.first_s and one.end_s for one in found.requests)
    assert all(one.due_s <= one.first_s <= one.end_s for one in found.requests)
    lengths = sorted({(one.prompt_tokens, one.known_tokens) for one in found.requests})
    assert lengths == [(70, 0), (146, 76), (222, 152)]
    prompts = sum(one.prompt_tokens - one.cached_tokens for one in found.requests)
    answers = sum(one.answer_tokens - 1 for one in found.requests)
    assert found.computed_tokens >= prompts + answers
    assert 0 < found.memory.always_share <= 1


def test_a_pause_is_a_pause(engine: tuple[str, Any], text: Text) -> None:
    """The third turn comes 0.2 s after the second answer."""
    name, running = engine
    found = Player(running, name, Load(0.0, 0.0, 1e9, 5, LOAD.sessions[:1]), text).play()
    first, second, third = sorted(found.requests, key=lambda one: one.due_s)
    assert first.end_s is not None
    assert second.end_s is not None
    assert second.due_s == pytest.approx(first.end_s, abs=1e-6)
    assert third.due_s == pytest.approx(second.end_s + 0.2, abs=1e-6)


def test_given_answers_are_said_and_their_kv_is_found(engine: tuple[str, Any], text: Text) -> None:
    """One session alone: its second prompt goes on from the first answer, whose KV is there."""
    name, running = engine
    running.reset_prefix_cache(reset_connector=name == ALL)
    turns = (Turn(60, 40, 0.0), Turn(20, 2, 0.0))
    found = Player(running, name, Load(0.0, 0.0, 1e9, 9, (Session(1, 0.0, 0, turns),)), text).play()
    # 99 of the 100 tokens were computed, in 3 whole blocks of 32.
    assert [one.cached_tokens for one in found.requests] == [0, 96]


def test_configurations_say_the_same_and_ours_restores(
    engine: tuple[str, Any], text: Text, said: dict[str, Played]
) -> None:
    name, running = engine
    running.reset_prefix_cache(reset_connector=name == ALL)
    found = said[name] = Player(running, name, LOAD, text, is_free=True).play()
    assert len(found.tokens) == len(LOAD.sessions) * len(TURNS)
    if name == ALL:
        assert wrong_tokens(said[VLLM].tokens, found.tokens) == 0
        places = hit_places(found)
        assert places[MEMORY] + places[BELOW] + places[SSD] > 0.3


def test_a_load_ends_though_not_all_is_answered(engine: tuple[str, Any], text: Text) -> None:
    """Of more than can be done in its time, the rest is given up, and the engine is free again."""
    name, running = engine
    sessions = tuple(Session(one, 0.01 * one, 0, (Turn(250, 60, 0.0),)) for one in range(40))
    found = Player(running, name, Load(1.0, 0.0, 0.5, 2, sessions), text).play()
    assert len(found.requests) == 40
    assert any(one.end_s is None for one in found.requests)
    assert not running.has_unfinished_requests()
