"""Who is in a hurry goes before who is not, however busy that one is."""

from __future__ import annotations

import threading
import time

from tiermem.serving.vattention.turns import Turns


def test_who_is_in_a_hurry_waits_for_one_turn_of_the_others_at_most() -> None:
    turns, is_over, count = Turns(), threading.Event(), [0]

    def work_ahead() -> None:
        while not is_over.is_set():
            with turns.last():
                count[0] += 1
                end = time.perf_counter() + 0.0005
                while time.perf_counter() < end:
                    pass

    thread = threading.Thread(target=work_ahead)
    thread.start()
    waited = []
    try:
        for _ in range(100):
            before = count[0]
            with turns.first():
                waited.append(count[0] - before)
            time.sleep(0.001)
    finally:
        is_over.set()
        thread.join()
    # One that began before, and one that may begin before it is known that somebody waits.
    assert max(waited) <= 2
    assert count[0] > 50, "the other one never had its turn"


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
