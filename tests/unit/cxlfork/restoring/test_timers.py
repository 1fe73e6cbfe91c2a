"""Timers go off when they would have, by the names and on the stacks that were set up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tiermem.cxlfork.capture import timers
from tiermem.cxlfork.capture.tracing import Calls
from tiermem.native._fork import lib

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import Cloner


@pytest.mark.parametrize("when", ["early", "late"])
def test_timers_of_all_kinds(when: str, start: Starter, cloner: Cloner) -> None:
    target = start("timers", when)
    assert target.line() == "ready"
    source = cloner.take(target)
    wanted = target.rest()
    assert "on its own stack: 1" in wanted
    assert [line for line in wanted if line.startswith("timer")] == [
        "timer 0: -1",
        "timer 1: 0",
        "timer 2: 0",
    ]
    clone = cloner.restore(source)
    assert clone.output.read().splitlines() == wanted
    assert clone.process.wait(20) == target.wait() == 0


EXPIRY_S = 0.4
"""All timers of `timers early` have expired by then."""


def slow_once(call: Callable[..., int], number: int, *, before: bool) -> Callable[..., int]:
    """A call that takes a program's time, the first time that it is of this number."""
    slow = [number]

    def called(calls: Calls, wanted: int, *arguments: int) -> int:
        is_slow = wanted in slow
        if is_slow:
            slow.remove(wanted)
        if is_slow and before:
            time.sleep(EXPIRY_S)
        result = call(calls, wanted, *arguments)
        if is_slow and not before:
            time.sleep(EXPIRY_S)
        return result

    return called


@pytest.mark.parametrize("number", [lib.SYS_getitimer, lib.SYS_timer_gettime])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_timers_that_expire_while_they_are_read(
    number: int, before: bool, start: Starter, cloner: Cloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers.Calls, "call", slow_once(Calls.call, number, before=before))
    target = start("timers", "early")
    assert target.line() == "ready"
    source = cloner.take(target)
    assert {timer.setting.value_ns for timer in source.image.timers} == {0}
    wanted = target.rest()
    assert cloner.restore(source).output.read().splitlines() == wanted
