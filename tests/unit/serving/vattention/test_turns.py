"""Who is in a hurry goes before who is not, however busy that one is."""

from __future__ import annotations

import threading
import time

from tiermem.serving.vattention.turns import Turns


def test_who_is_in_a_hurry_goes_before_who_is_not() -> None:
    """Also where the other one has had it, and takes it again as soon as it gave it back."""
    for _ in range(30):
        assert order_of_turns() == ["ahead", "step", "step", "ahead", "ahead"]


def order_of_turns() -> list[str]:
    """Two steps ask while the one who works ahead has the first of three turns."""
    turns, has_it, go_on = Turns(), threading.Event(), threading.Event()
    order: list[str] = []

    def work_ahead() -> None:
        for number in range(3):
            with turns.last():
                order.append("ahead")
                if number == 0:
                    has_it.set()
                    assert go_on.wait(10)

    def step() -> None:
        with turns.first():
            order.append("step")

    ahead = threading.Thread(target=work_ahead)
    ahead.start()
    assert has_it.wait(10)
    steps = [threading.Thread(target=step) for _ in range(2)]
    for one in steps:
        one.start()
    while turns._in_a_hurry < len(steps):
        time.sleep(0)
    go_on.set()
    for one in (ahead, *steps):
        one.join(10)
    return order


def test_one_has_it_at_a_time() -> None:
    turns, inside, most = Turns(), [0], [0]

    def work(kind: str) -> None:
        for _ in range(200):
            with turns.first() if kind == "first" else turns.last():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(kind,)) for kind in ("first", "last") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
