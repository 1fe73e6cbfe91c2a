"""What the other host writes is checked: refused and counted, never followed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiermem.errors import MissingError, TiermemError, TimeoutExpiredError
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib
from tiermem.oasis.channel import Receiver, Sender
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status
from tiermem.oasis.storage.link import LinkSize, make_link
from tiermem.oasis.storage.slices import Slice

from tests.unit.oasis.storage.hosts import SIZE, Hosts, read, write

BLOCK = 4096
COMMANDS_AT = int(lib.STORAGE_LINK_COMMANDS_AT)
# 4096 of a header, and twice as many slots of 64 bytes as tags.
COMPLETIONS_AT = COMMANDS_AT + 4096 + 2 * SIZE.tags * 64
BUFFERS_BYTES = SIZE.tags * SIZE.buffer_bytes

Words = npt.NDArray[np.uint64]


def message(kind: str, **fields: int) -> Words:
    """A command or completion, as a channel takes it."""
    native = ffi.new(f"struct storage_{kind} *", fields)
    return np.frombuffer(ffi.buffer(native), np.uint64).reshape(1, 8).copy()


@contextmanager
def by_hand(hosts: Hosts) -> Iterator[tuple[Sender, Receiver, Backend, int]]:
    """A backend whose frontend is the test: 16 blocks as slice 0."""
    with (
        hosts.link("by hand") as (ours, theirs),
        Backend(BackendSettings(path=hosts.disk)) as backend,
        Sender(ours, COMMANDS_AT) as sender,
        Receiver(ours, COMPLETIONS_AT) as receiver,
    ):
        link = backend.add_link(theirs, {0: Slice(16 * BLOCK, 16 * BLOCK)})
        yield sender, receiver, backend, link


def answers(receiver: Receiver, count: int) -> list[Any]:
    """The next completions, as structs."""
    found: list[Any] = []
    while len(found) < count:
        words = receiver.wait(most=count - len(found), timeout_s=20)
        assert len(words)
        for row in words:
            native = ffi.new("struct storage_completion *")
            ffi.buffer(native)[:] = row.tobytes()
            found.append(native)
    return found


def answer_to(sender: Sender, receiver: Receiver, words: Words) -> Any:
    assert sender.send(words) == 1
    sender.flush()
    return answers(receiver, 1)[0]


A_WRITE = {"opcode": Opcode.WRITE, "tag": 1, "blocks": 1, "serial": 77}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"opcode": 0x55}, Status.UNKNOWN_OPCODE),
        ({"flags": 2}, Status.INVALID_FIELD),
        ({"opcode": Opcode.READ, "flags": 1}, Status.INVALID_FIELD),
        ({"opcode": Opcode.FLUSH, "blocks": 1}, Status.INVALID_FIELD),
        ({"tag": SIZE.tags}, Status.INVALID_FIELD),
        ({"slice": 1}, Status.NO_SUCH_SLICE),
        ({"slice": 2**32 - 1}, Status.NO_SUCH_SLICE),
        ({"lba": 16}, Status.OUT_OF_RANGE),
        ({"lba": 15, "blocks": 2}, Status.OUT_OF_RANGE),
        ({"lba": 2**64 - 1}, Status.OUT_OF_RANGE),
        ({"lba": 2**52, "opcode": Opcode.DISCARD}, Status.OUT_OF_RANGE),
        ({"blocks": 0}, Status.INVALID_FIELD),
        ({"blocks": 5}, Status.INVALID_FIELD),
        ({"buffer": 512}, Status.INVALID_FIELD),
        ({"buffer": BUFFERS_BYTES}, Status.INVALID_FIELD),
        ({"buffer": BUFFERS_BYTES - BLOCK, "blocks": 2}, Status.INVALID_FIELD),
        ({"buffer": 2**64 - BLOCK}, Status.INVALID_FIELD),
        ({"buffer": BLOCK, "opcode": Opcode.DISCARD}, Status.INVALID_FIELD),
        ({"reserved": 1}, Status.INVALID_FIELD),
        ({"unused": [0, 1]}, Status.INVALID_FIELD),
        ({"epoch": 1}, Status.INVALID_FIELD),
    ],
)
def test_a_command_that_does_not_hold_is_refused(
    hosts: Hosts, fields: dict[str, Any], status: Status
) -> None:
    with by_hand(hosts) as (sender, receiver, backend, link):
        answer = answer_to(sender, receiver, message("command", **(A_WRITE | fields)))
        assert (answer.status, answer.serial) == (status, 77)
        assert backend.counters(link).refused == 1
        # It goes on with those that do.
        assert answer_to(sender, receiver, message("command", **A_WRITE)).status == Status.OK


def test_a_tag_that_is_in_flight_is_not_taken_again(hosts: Hosts) -> None:
    with by_hand(hosts) as (sender, receiver, backend, link):
        both = np.concatenate([message("command", **A_WRITE)] * 2)
        both[1, 4] = 78
        statuses = []
        # The first may have ended when the second is taken, though hardly each time.
        while Status.TAG_IN_USE not in statuses and len(statuses) < 100:
            assert sender.send(both) == 2
            sender.flush()
            found = {answer.serial: answer.status for answer in answers(receiver, 2)}
            assert found[77] == Status.OK
            statuses.append(found[78])
        assert statuses[-1] == Status.TAG_IN_USE
        assert backend.counters(link).refused == 1


@given(seed=st.integers(0, 2**32), begin=st.sampled_from([b"", bytes(COMMANDS_AT)]))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bytes_in_the_link_harm_nobody_else(
    module_hosts: Hosts, seed: int, begin: bytes
) -> None:
    """Over the whole link, while it is served, again and again; another link goes on."""
    rng = random.Random(seed)
    with (
        module_hosts.served() as (frontend, backend, _),
        module_hosts.link("random") as (ours, theirs),
    ):
        link = backend.add_link(theirs, {})
        backend.remove_slice(0, 0)
        backend.add_slice(0, 0, Slice(0, 4 * BLOCK))
        backend.add_slice(link, 0, Slice(4 * BLOCK, BLOCK))
        assert write(frontend, 0, b"k" * 4 * BLOCK) is Status.OK
        for _ in range(5):
            ours.view[len(begin) : COMPLETIONS_AT] = rng.randbytes(COMPLETIONS_AT - len(begin))
            assert read(frontend, 0, 4) == b"k" * 4 * BLOCK
        assert backend.counters(0).refused == 0


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_commands_are_answered_or_lost_and_never_leave_the_slice(
    module_hosts: Hosts, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    module_hosts.disk.write_bytes(b"k" * (64 * BLOCK))
    with by_hand(module_hosts) as (sender, _, backend, link):
        words = rng.integers(0, 2**64, (2 * SIZE.tags, 8), np.uint64)
        # Half of them with small numbers, which come further.
        words[::2] &= np.uint64(0x0000_0001_0000_0109)
        words[:, -1] &= np.uint64(2**63 - 1)
        sent = sender.send(words)
        sender.flush()
        deadline_s = time.monotonic() + 20
        while (found := backend.counters(link)).completed + found.refused < sent:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
    disk = module_hosts.disk.read_bytes()
    assert disk[: 16 * BLOCK] == b"k" * (16 * BLOCK)
    assert disk[32 * BLOCK :] == b"k" * (32 * BLOCK)


def test_a_frontend_that_takes_no_completions_loses_only_its_own(hosts: Hosts) -> None:
    with by_hand(hosts) as (sender, receiver, backend, link):
        # Not one is taken: its ring is full after as many.
        room = receiver.slots
        sent = 0
        deadline_s = time.monotonic() + 20
        while sent < 2 * room:
            sent += sender.send(message("command", opcode=0x55))
            sender.flush()
            assert time.monotonic() < deadline_s
        while backend.counters(link).refused < sent:
            assert time.monotonic() < deadline_s
        assert backend.counters(link).completions_lost == sent - room
        with hosts.link("other") as (ours, theirs), Frontend(ours) as frontend:
            other = backend.add_link(theirs, {0: Slice(0, BLOCK)})
            assert write(frontend, 0, b"x" * BLOCK) is Status.OK
            backend.remove_link(other)


def test_completions_of_nothing_in_flight_are_passed_over(hosts: Hosts) -> None:
    """The test is the backend of a frontend that believes little."""
    with (
        hosts.link("link") as (ours, theirs),
        Frontend(ours) as frontend,
        Sender(theirs, COMPLETIONS_AT) as sender,
        Receiver(theirs, COMMANDS_AT) as receiver,
    ):
        tag = frontend.submit(Request(Opcode.READ, 0, 1))
        serial = int(receiver.wait(1, timeout_s=20)[0, 4])
        for fields in (
            {"tag": SIZE.tags, "serial": serial},
            {"tag": 2**16 - 1, "serial": serial},
            {"tag": tag + 1, "serial": serial},
            {"tag": tag, "serial": serial + 1},
        ):
            assert sender.send(message("completion", **fields)) == 1
        sender.flush()
        assert frontend.wait(timeout_s=0.01) == []
        assert (frontend.counters.refused, frontend.pending) == (4, 1)
        # A status that there is none of is an error, and the path's is only the frontend's.
        sender.send(message("completion", tag=tag, serial=serial, status=Status.PATH_ERROR))
        sender.flush()
        (done,) = frontend.wait(timeout_s=20)
        assert done.status is Status.INTERNAL_ERROR
        assert frontend.submit(Request(Opcode.FLUSH)) == tag


def check_that_nobody_opens(hosts: Hosts, area: Area) -> None:
    with pytest.raises(MissingError):
        Frontend(area)
    with Backend(BackendSettings(path=hosts.disk)) as backend, pytest.raises(MissingError):
        backend.add_link(area, {})


def test_a_header_that_does_not_hold_opens_nothing(hosts: Hosts) -> None:
    rng = random.Random(1)
    with hosts.link("link") as (ours, _):
        header = bytes(ours.view[:32])
        for at, value in [(0, 1), (8, 2), (12, 2**31), (16, 3), (20, 2**31), (20, 100), (24, 1)]:
            ours.view[:32] = header
            ours.view[at : at + 4] = value.to_bytes(4, "little")
            check_that_nobody_opens(hosts, ours)
        for _ in range(100):
            ours.view[:24] = rng.randbytes(24)
            ours.view[24:32] = header[24:]
            with pytest.raises(MissingError):
                Frontend(ours)


def test_a_link_whose_blocks_are_smaller_than_the_devices_is_refused(hosts: Hosts) -> None:
    size = LinkSize(tags=4, block_bytes=512, buffer_bytes=4096)
    with (
        hosts.link("link", size) as (_, theirs),
        Backend(BackendSettings(path=hosts.disk)) as backend,
    ):
        if not backend.device.is_direct:
            pytest.skip("this file system has no way past its cache")
        with pytest.raises(TiermemError, match="must not be smaller"):
            backend.add_link(theirs, {})


def test_a_link_that_cannot_be_is_not_made(hosts: Hosts) -> None:
    with hosts.front.create_area("small", 8192) as area, pytest.raises(TiermemError, match="takes"):
        make_link(area, SIZE)
    with pytest.raises(TiermemError, match="power of two"):
        _ = LinkSize(block_bytes=1000).bytes


def test_a_device_is_one_backends(hosts: Hosts) -> None:
    settings = BackendSettings(path=hosts.disk, lock_timeout_s=0.05)
    with Backend(settings), pytest.raises(TimeoutExpiredError, match="another process"):
        Backend(settings)
    with Backend(settings):
        pass
    with pytest.raises(MissingError):
        Backend(BackendSettings(path=hosts.folder / "no such disk"))
