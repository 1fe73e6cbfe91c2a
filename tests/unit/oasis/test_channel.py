"""Channels in an area of the pool, by their typed ends."""

from __future__ import annotations

import random
import threading
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import MissingError, NoSpaceError, TiermemError
from tiermem.layer.pool import Area, create_pool, open_pool
from tiermem.native._channel import lib
from tiermem.oasis.channel import (
    SLOTS,
    Messages,
    Receiver,
    Sender,
    channel_bytes,
    format_channel,
)

Areas = tuple[Area, Area]
SIZES = (16, 64)


def messages_from(first: int, count: int, message_bytes: int) -> Messages:
    """Messages that are all different: words counted on."""
    words = message_bytes // 8
    return (np.arange(count * words, dtype=np.uint64) + np.uint64(first * words)).reshape(-1, words)


@pytest.mark.parametrize("message_bytes", SIZES)
def test_what_is_sent_arrives(areas: Areas, message_bytes: int) -> None:
    ours, theirs = areas
    format_channel(ours, message_bytes=message_bytes)
    with Sender(ours) as sender, Receiver(theirs) as receiver:
        assert (sender.slots, receiver.message_bytes) == (SLOTS, message_bytes)
        sent = messages_from(1, 100, message_bytes)
        assert len(receiver.receive(10)) == 0
        assert sender.send(sent) == 100
        sender.flush()
        np.testing.assert_array_equal(receiver.receive(30), sent[:30])
        np.testing.assert_array_equal(receiver.receive(1000), sent[30:])


def test_a_full_channel_takes_no_more_until_something_was_taken(areas: Areas) -> None:
    format_channel(areas[0], slots=16)
    with Sender(areas[0]) as sender, Receiver(areas[1]) as receiver:
        assert sender.send(messages_from(0, 20, 16)) == 16
        assert sender.send(messages_from(16, 4, 16)) == 0
        sender.flush()
        assert len(receiver.receive(1)) == 1
        receiver.acknowledge()
        assert sender.send(messages_from(16, 4, 16)) == 1


@settings(max_examples=30)
@given(
    message_bytes=st.sampled_from(SIZES),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60),
)
def test_it_is_a_queue(
    tmp_path_factory: pytest.TempPathFactory, message_bytes: int, steps: list[tuple[bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("queue")
    create_pool(folder / "pool", hosts=1, entries=2, size=4 << 20)
    queue: deque[list[int]] = deque()
    sent = 0
    with open_pool(folder / "pool", 0, run_dir=folder) as pool, pool.create_area("x", 8192) as area:
        format_channel(area, slots=32, message_bytes=message_bytes)
        with Sender(area) as sender, Receiver(area) as receiver:
            for is_send, count in steps:
                if is_send:
                    batch = messages_from(sent, count, message_bytes)
                    went = sender.send(batch)
                    sender.flush()
                    assert went == min(count, 32 - len(queue))
                    queue.extend(batch[:went].tolist())
                    sent += went
                else:
                    found = receiver.receive(count).tolist()
                    receiver.acknowledge()
                    assert found == [queue.popleft() for _ in range(min(count, len(queue)))]


def test_several_channels_lie_in_one_area(areas: Areas) -> None:
    size = channel_bytes(64)
    for at in (0, size):
        format_channel(areas[0], slots=64, at=at)
    with (
        Sender(areas[0]) as forth,
        Sender(areas[1], size) as back,
        Receiver(areas[1]) as there,
        Receiver(areas[0], size) as here,
    ):
        for number, sender in enumerate((forth, back)):
            sender.send(messages_from(number, 1, 16))
            sender.flush()
        assert there.receive(9).tolist() == [[0, 1]]
        assert here.receive(9).tolist() == [[2, 3]]


def test_a_channel_of_another_life_of_the_area_is_not_there(tmp_path: Path) -> None:
    create_pool(tmp_path / "pool", hosts=1, entries=1, size=4 << 20)
    with open_pool(tmp_path / "pool", 0, run_dir=tmp_path) as pool:
        with pool.create_area("x", 8192) as area:
            format_channel(area, slots=64)
            header = bytes(area.view[:64])
        pool.remove("x")
        pool.collect()
        with pool.create_area("x", 8192) as area:
            area.view[:64] = header
            for end in (Sender, Receiver):
                with pytest.raises(MissingError, match="the channel at 0 of 'x'"):
                    end(area)


def test_headers_of_random_bytes_are_refused_and_open_nothing(areas: Areas) -> None:
    format_channel(areas[0], slots=64)
    header = bytes(areas[0].view[:32])
    rng = random.Random(1)
    for _ in range(200):
        spoilt = bytearray(header)
        for _ in range(rng.randrange(1, 4)):
            spoilt[rng.randrange(32)] = rng.randrange(256)
        areas[0].view[:32] = bytes(spoilt)
        try:
            Receiver(areas[1]).close()
        except MissingError:
            continue
        slots = int.from_bytes(spoilt[16:20], "little")
        assert channel_bytes(slots, int.from_bytes(spoilt[12:16], "little")) <= areas[1].bytes


@pytest.mark.parametrize("said", [2**64 - 1, 2**63, 14, 4])
def test_a_receiver_that_claims_what_cannot_be_is_not_believed(areas: Areas, said: int) -> None:
    """13 were sent, and 5 were said to be taken before."""
    format_channel(areas[0], slots=8)
    with Sender(areas[0]) as sender, Receiver(areas[1]) as receiver:
        assert sender.send(messages_from(0, 8, 16)) == 8
        sender.flush()
        receiver.receive(5)
        receiver.acknowledge()
        assert sender.send(messages_from(8, 8, 16)) == 5
        say_consumed(areas[1], said)
        assert (sender.send(messages_from(13, 8, 16)), sender.refused) == (0, 1)
        say_consumed(areas[1], 8)
        assert (sender.send(messages_from(13, 8, 16)), sender.refused) == (3, 1)


def say_consumed(area: Area, count: int) -> None:
    at = int(lib.CHANNEL_CONSUMED_AT)
    area.view[at : at + 8] = count.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slots": 7}, "a power of two from 8"),
        ({"slots": 1 << 21}, "a power of two from 8"),
        ({"slots": -8}, "a power of two from 8"),
        ({"message_bytes": 32}, "of 16 or 64 bytes"),
        ({"at": 32}, "a multiple of 64"),
        ({"at": -64}, "a multiple of 64"),
        ({"at": 1 << 20}, "a multiple of 64"),
    ],
)
def test_what_cannot_be_a_channel_is_refused(
    areas: Areas, options: dict[str, int], said: str
) -> None:
    with pytest.raises(TiermemError, match=said):
        format_channel(areas[0], **options)


def test_one_that_does_not_fit_is_refused(areas: Areas) -> None:
    with pytest.raises(NoSpaceError, match="4096 bytes are left"):
        format_channel(areas[0], slots=64, at=areas[0].bytes - 4096)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 8), np.uint64),
        np.zeros(2, np.uint64),
        np.zeros((1, 2), np.int64),
        np.array([[0, 1 << 63]], np.uint64),
    ],
    ids=["too long", "no rows", "signed", "the channel's bit"],
)
def test_what_is_no_message_of_it_is_not_sent(areas: Areas, wrong: Messages) -> None:
    format_channel(areas[0])
    with Sender(areas[0]) as sender, pytest.raises(TiermemError, match=r"must be 0|is allowed"):
        sender.send(wrong)


def test_an_end_that_was_closed_says_so(areas: Areas) -> None:
    format_channel(areas[0])
    sender, receiver = Sender(areas[0]), Receiver(areas[1])
    for end in (sender, receiver, sender, receiver):
        end.close()
    for act in (sender.flush, receiver.acknowledge, receiver.stop):
        with pytest.raises(TiermemError, match="was closed"):
            act()


def test_two_threads_exchange_a_hundred_thousand(areas: Areas) -> None:
    format_channel(areas[0], slots=1024)
    total, batch = 100_000, 100

    def send_all() -> None:
        with Sender(areas[0]) as sender:
            for first in range(0, total, batch):
                left = messages_from(first, batch, 16)
                while len(left):
                    left = left[sender.send(left) :]
                    sender.flush()

    thread = threading.Thread(target=send_all)
    found: list[Messages] = []
    with Receiver(areas[1]) as receiver:
        thread.start()
        while sum(map(len, found)) < total:
            found.append(receiver.wait(500, timeout_s=30))
            assert len(found[-1])
    thread.join()
    np.testing.assert_array_equal(np.concatenate(found), messages_from(0, total, 16))
