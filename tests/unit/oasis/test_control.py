"""The daemon's one thread: steps in time, at once when something rings, and between them asks."""

from __future__ import annotations

import os
import threading
import time

import pytest
from tiermem.errors import TiermemError
from tiermem.oasis.control import Control

LONG_S = 60.0
REPORT_S = 0.3


class Steps:
    """What a control thread did, and when; ended: whether it came to its end."""

    def __init__(self) -> None:
        self.due: list[bool] = []
        self.reported_s: list[float] = []
        self.threads: set[int] = set()
        self.ended = False
        self.stepped = threading.Event()

    def step(self, is_due: bool) -> None:
        self.due.append(is_due)
        if is_due:
            self.reported_s.append(time.monotonic())
        self.threads.add(threading.get_ident())
        self.stepped.set()

    def end(self) -> None:
        self.ended = True
        self.threads.add(threading.get_ident())


def test_it_looks_often_and_reports_seldom() -> None:
    steps = Steps()
    control = Control(steps.step, steps.end, (), look_s=0.001, report_s=REPORT_S)
    control.start()
    end_s = time.monotonic() + LONG_S
    while len(steps.reported_s) < 3 and time.monotonic() < end_s:
        time.sleep(0.01)
    first, second, third = steps.reported_s[:3]
    looks = steps.due.count(False)
    control.stop()
    assert steps.ended
    assert len(steps.threads) == 1
    # It notes when it reported before the step is told of it.
    assert min(second - first, third - second) > 0.9 * REPORT_S
    assert looks >= 6


def test_what_rings_or_is_asked_is_answered_by_a_step_at_once() -> None:
    steps = Steps()
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    control = Control(
        # What rings while a step is told of is for the next one.
        lambda is_due: (bell_read(bell), steps.step(is_due)),  # type: ignore[func-returns-value]
        steps.end,
        (bell,),
        look_s=LONG_S,
        report_s=LONG_S,
    )
    control.start()
    assert steps.stepped.wait(5)
    steps.stepped.clear()
    os.eventfd_write(bell, 1)
    assert steps.stepped.wait(5)
    assert control.call(threading.get_ident).result(5) in steps.threads
    control.stop()
    assert all(steps.due)
    os.close(bell)


def test_news_of_others_are_looked_at_at_once_and_nothing_is_reported() -> None:
    steps = Steps()
    news = os.eventfd(0, os.EFD_NONBLOCK)
    control = Control(
        lambda is_due: (bell_read(news), steps.step(is_due)),  # type: ignore[func-returns-value]
        steps.end,
        (),
        news=(news,),
        look_s=LONG_S,
        report_s=LONG_S,
    )
    control.start()
    assert steps.stepped.wait(5)
    steps.stepped.clear()
    os.eventfd_write(news, 1)
    assert steps.stepped.wait(5)
    control.stop()
    assert steps.due[:2] == [True, False]
    os.close(news)


def bell_read(bell: int) -> None:
    try:
        os.eventfd_read(bell)
    except BlockingIOError:
        return


def test_what_goes_wrong_in_an_answer_is_the_askers_and_in_a_step_ends_it() -> None:
    steps = Steps()

    def fail() -> None:
        raise TiermemError("asked for too much")

    control = Control(steps.step, steps.end, (), look_s=LONG_S, report_s=LONG_S)
    control.start()
    with pytest.raises(TiermemError, match="asked for too much"):
        control.call(fail).result(5)
    assert not control.finished.done()

    def breaks(_is_due: bool) -> None:
        raise ZeroDivisionError

    control.stop()
    broken = Control(breaks, steps.end, (), look_s=LONG_S, report_s=LONG_S)
    steps.ended = False
    broken.start()
    assert isinstance(broken.finished.exception(5), ZeroDivisionError)
    assert steps.ended
