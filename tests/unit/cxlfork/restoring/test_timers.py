"""Timers go off when they would have, by the names and on the stacks that were set up."""

from __future__ import annotations

import pytest

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
