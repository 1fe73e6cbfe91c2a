"""Waiting at a channel: at once while messages come, asleep when none do.

Limits are generous, since other things run on the machine; `pytest -s` shows what was
measured.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.layer.pool import Area
from tiermem.native._channel import ffi, lib
from tiermem.oasis.channel import Receiver, Sender, format_channel

Areas = tuple[Area, Area]
ONE = np.array([[1, 2]], np.uint64)
HARD_NS, SLEEP_MIN_NS = int(lib.CHANNEL_HARD_NS), int(lib.CHANNEL_SLEEP_MIN_NS)


@given(
    sleep_max_ns=st.integers(0, 10**9),
    busy_ns=st.integers(0, 10**12),
    idle_ns=st.integers(0, 10**11),
)
def test_a_sleep_is_a_share_of_how_long_there_was_nothing(
    sleep_max_ns: int, busy_ns: int, idle_ns: int
) -> None:
    pace = ffi.new("struct channel_pace *")
    lib.channel_pace_begin(pace, sleep_max_ns, 0)
    lib.channel_pace_busy(pace, busy_ns)
    sleep_ns = lib.channel_pace_idle(pace, busy_ns + idle_ns)
    if idle_ns < HARD_NS:
        assert sleep_ns == 0
    else:
        share_ns = max(idle_ns // lib.CHANNEL_SLEEP_SHARE, SLEEP_MIN_NS)
        assert sleep_ns == min(share_ns, sleep_max_ns)


def test_an_idle_receiver_takes_little_of_a_processor(areas: Areas) -> None:
    format_channel(areas[0])
    with Receiver(areas[1]) as receiver:
        begin_s, cpu_s = time.monotonic(), time.thread_time()
        assert len(receiver.wait(1, timeout_s=1)) == 0
        waited_s = time.monotonic() - begin_s
        share = (time.thread_time() - cpu_s) / waited_s
    print(f"idle: {share:.2%} of a processor")
    assert 1 <= waited_s < 2
    assert share < 0.1


def in_a_thread(job: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=job)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("sleep_max_s", "limit_s"), [(0.001, 0.02), (0.02, 0.1)], ids=["1 ms", "20 ms"]
)
def test_a_message_after_a_pause_comes_about_as_late_as_the_longest_sleep(
    areas: Areas, sleep_max_s: float, limit_s: float
) -> None:
    format_channel(areas[0])
    sent_ns: list[int] = []

    def send_some() -> None:
        with Sender(areas[0]) as sender:
            for pause in range(20):
                time.sleep(0.05 + 0.0017 * pause)
                sent_ns.append(time.monotonic_ns())
                sender.send(ONE)
                sender.flush()

    late_ns = []
    thread = in_a_thread(send_some)
    with Receiver(areas[1], sleep_max_s=sleep_max_s) as receiver:
        for number in range(20):
            assert len(receiver.wait(1, timeout_s=10)) == 1
            late_ns.append(time.monotonic_ns() - sent_ns[number])
    thread.join()
    late_s = statistics.median(late_ns) / 1e9
    print(f"after a pause, sleeps of {sleep_max_s} s at most: {late_s * 1e6:.0f} us late")
    assert late_s < limit_s


def test_messages_that_go_on_coming_are_not_slept_over(areas: Areas) -> None:
    """One thread answers each message of another: a pause is never long."""
    size, rounds = areas[0].bytes // 2, 2000
    for at in (0, size):
        format_channel(areas[0], slots=64, at=at)

    def answer() -> None:
        with Receiver(areas[1]) as receiver, Sender(areas[1], size) as sender:
            for _ in range(rounds):
                sender.send(receiver.wait(1, timeout_s=10))
                sender.flush()

    thread = in_a_thread(answer)
    took_ns = []
    with Sender(areas[0]) as sender, Receiver(areas[0], size) as receiver:
        for _ in range(rounds):
            begin_ns = time.monotonic_ns()
            sender.send(ONE)
            sender.flush()
            assert receiver.wait(1, timeout_s=10).tolist() == ONE.tolist()
            took_ns.append(time.monotonic_ns() - begin_ns)
    thread.join()
    round_trip_s = statistics.median(took_ns) / 1e9
    print(f"there and back: {round_trip_s * 1e6:.0f} us")
    assert round_trip_s < 0.002


def test_it_is_told_to_stop_in_the_middle_of_a_sleep(areas: Areas) -> None:
    format_channel(areas[0])
    with Receiver(areas[1], sleep_max_s=1) as receiver:
        thread = in_a_thread(lambda: (time.sleep(0.3), receiver.stop())[0])
        begin_s = time.monotonic()
        assert len(receiver.wait(1, timeout_s=30)) == 0
        thread.join()
        assert time.monotonic() - begin_s < 5
        begin_s = time.monotonic()
        assert len(receiver.wait(1, timeout_s=30)) == 0
        assert time.monotonic() - begin_s < 5


def test_it_stops_though_messages_never_end(areas: Areas) -> None:
    """A sender that floods it keeps nobody from stopping."""
    format_channel(areas[0], slots=64)
    is_over = threading.Event()

    def flood() -> None:
        with Sender(areas[0]) as sender:
            while not is_over.is_set():
                sender.send(ONE.repeat(64, axis=0))
                sender.flush()

    thread = in_a_thread(flood)
    with Receiver(areas[1]) as receiver:
        receiver.stop()
        deadline_s = time.monotonic() + 10
        while len(receiver.wait(64, timeout_s=5)):
            assert time.monotonic() < deadline_s
    is_over.set()
    thread.join()


@pytest.mark.parametrize(("sleeps", "room"), [(True, 64), (False, 57)])
def test_the_sender_is_told_what_was_taken_before_a_sleep(
    areas: Areas, sleeps: bool, room: int
) -> None:
    format_channel(areas[0], slots=64)
    with Sender(areas[0]) as sender, Receiver(areas[1]) as receiver:
        sender.send(ONE.repeat(7, axis=0))
        sender.flush()
        assert len(receiver.receive(7)) == 7
        if sleeps:
            assert len(receiver.wait(1, timeout_s=0.05)) == 0
        assert sender.send(ONE.repeat(64, axis=0)) == room
