"""The queue: order, limits, and who goes away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field

import pytest
from tiermem.serving.prefill_only.prefill_queue import (
    PrefillQueue,
    QueueClosedError,
    QueueFullError,
)


@dataclass
class Done:
    new_tokens: int
    cached_tokens: int


@dataclass
class Engine:
    """Remembers the key of the last request; a second for 1000 tokens on its own clock."""

    last: Sequence[bytes] = ()
    runs: list[list[int]] = field(default_factory=list)
    now_s: float = 0.0

    def cached(self, keys: Sequence[bytes], tokens: int) -> int:
        return tokens - 10 if keys and keys == self.last else 0

    def prefill(self, asked: Sequence[tuple[Sequence[int], Sequence[bytes]]]) -> list[Done]:
        if any(not tokens[0] for tokens, _ in asked):
            raise ValueError("token 0")
        self.runs.append([tokens[0] for tokens, _ in asked])
        done = []
        for tokens, keys in asked:
            cached = self.cached(keys, len(tokens))
            self.now_s += (len(tokens) - cached) / 1000
            self.last = keys
            done.append(Done(len(tokens) - cached, cached))
        return done

    @property
    def order(self) -> list[int]:
        return [number for run in self.runs for number in run]


def queue_of(engine: Engine, limit: int = 8, together_max: int = 1) -> PrefillQueue[Done]:
    return PrefillQueue(
        engine.prefill,
        engine.cached,
        limit,
        clock=lambda: engine.now_s,
        together_max=together_max,
    )


def test_the_shortest_by_what_is_cached_now_runs_first() -> None:
    """PrefillOnly's example: A and D share a prefix, B and C another, with memory for one."""
    engine = Engine()
    queue = queue_of(engine)
    for number, key in enumerate((b"1", b"2", b"2", b"1"), 1):
        queue.submit([number] * (1000 + number), [key])
    while queue.step():
        pass
    assert engine.order == [1, 4, 2, 3]


def test_who_goes_away_is_not_computed_and_makes_room() -> None:
    engine = Engine()
    queue = queue_of(engine, limit=2)
    gone, stays = queue.submit([1], []), queue.submit([2], [])
    with pytest.raises(QueueFullError, match="2 requests wait"):
        queue.submit([3], [])
    assert gone.cancel()
    last = queue.submit([3], [])
    while queue.step():
        pass
    assert sorted(engine.order) == [2, 3]
    assert stays.result(0).new_tokens == last.result(0).new_tokens == 1


@pytest.mark.parametrize("together_max", [1, 8])
def test_one_that_fails_does_not_end_the_others(together_max: int) -> None:
    """Nor do those that ran together with it."""
    engine = Engine()
    queue = queue_of(engine, together_max=together_max)
    bad, good = queue.submit([0], []), queue.submit([1, 1], [])
    while queue.step():
        pass
    with pytest.raises(ValueError, match="token 0"):
        bad.result(0)
    assert good.result(0).new_tokens == 2


def test_short_ones_run_together_once_their_prefix_is_there() -> None:
    """One whole request first; then those that share its prefix, as many as may; then the next."""
    engine = Engine()
    queue = queue_of(engine, together_max=3)
    for number, key in enumerate((b"1", b"1", b"2", b"1", b"1", b"1"), 1):
        queue.submit([number] * (1000 + number), [key])
    while queue.step():
        pass
    assert engine.runs == [[1], [2, 4, 5], [6], [3]]


def test_closing_lets_the_one_under_way_end_and_drops_the_rest() -> None:
    began, may_end = threading.Event(), threading.Event()

    def prefill(asked: Sequence[tuple[Sequence[int], Sequence[bytes]]]) -> list[Done]:
        began.set()
        assert may_end.wait(10)
        return [Done(len(tokens), 0) for tokens, _ in asked]

    queue: PrefillQueue[Done] = PrefillQueue(prefill, lambda _keys, _tokens: 0, 8)
    queue.begin()
    runs = queue.submit([1], [])
    assert began.wait(10)
    waits, left = queue.submit([2], []), queue.submit([3], [])
    left.cancel()
    closing = threading.Thread(target=queue.close)
    closing.start()
    with pytest.raises(QueueClosedError):
        waits.result(10)
    may_end.set()
    closing.join(10)
    assert runs.result(0).new_tokens == 1
    with pytest.raises(CancelledError):
        left.result(0)
    with pytest.raises(QueueClosedError):
        queue.submit([4], [])
