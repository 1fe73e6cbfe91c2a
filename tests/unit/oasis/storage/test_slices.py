"""Several instances on one device, none of which reaches another's blocks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import TiermemError
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status
from tiermem.oasis.storage.slices import Slice, check_slice

from tests.unit.oasis.storage.hosts import DISK_BYTES, Hosts, read, run, write

BLOCK = 4096
SLICES = st.builds(
    Slice,
    st.integers(0, 20).map(lambda block: block * BLOCK),
    st.integers(1, 20).map(lambda blocks: blocks * BLOCK),
    st.booleans(),
)


@given(st.lists(SLICES, max_size=10))
def test_no_block_is_anothers_that_may_be_written(wanted: list[Slice]) -> None:
    taken: list[Slice] = []
    owners: dict[int, list[Slice]] = {}
    for one in wanted:
        blocks = range(one.offset_bytes // BLOCK, (one.offset_bytes + one.bytes) // BLOCK)
        others = [other for block in blocks for other in owners.get(block, [])]
        is_free = all(other.is_read_only and one.is_read_only for other in others)
        if blocks.stop <= 32 and is_free:
            check_slice(one, taken, 32 * BLOCK, BLOCK)
            taken.append(one)
            for block in blocks:
                owners.setdefault(block, []).append(one)
        else:
            with pytest.raises(TiermemError):
                check_slice(one, taken, 32 * BLOCK, BLOCK)


@pytest.mark.parametrize("wanted", [Slice(1, BLOCK), Slice(0, BLOCK + 512), Slice(0, 0)])
def test_a_slice_has_whole_blocks(wanted: Slice) -> None:
    with pytest.raises(TiermemError):
        check_slice(wanted, [], DISK_BYTES, BLOCK)


def test_instances_write_where_their_slices_are(hosts: Hosts) -> None:
    with (
        hosts.link("one") as (ours, theirs),
        hosts.link("two") as (our_second, their_second),
        Backend(BackendSettings(path=hosts.disk)) as backend,
        Frontend(ours) as one,
        Frontend(our_second) as two,
    ):
        first, second = backend.add_link(theirs, {}), backend.add_link(their_second, {})
        backend.add_slice(first, 0, Slice(0, 4 * BLOCK))
        backend.add_slice(first, 5, Slice(8 * BLOCK, 2 * BLOCK))
        backend.add_slice(second, 0, Slice(4 * BLOCK, 4 * BLOCK))
        with pytest.raises(TiermemError, match="another one has"):
            backend.add_slice(second, 1, Slice(9 * BLOCK, 4 * BLOCK))
        assert write(one, 3, b"a" * BLOCK) is Status.OK
        assert write(one, 0, b"b" * BLOCK, number=5) is Status.OK
        assert write(two, 0, b"c" * BLOCK) is Status.OK
        # The ends of the slices, and numbers that are another link's.
        assert write(one, 4, b"x" * BLOCK) is Status.OUT_OF_RANGE
        assert write(one, 3, b"x" * 2 * BLOCK) is Status.OUT_OF_RANGE
        assert write(one, 2**63, b"x" * BLOCK) is Status.OUT_OF_RANGE
        assert write(two, 0, b"x" * BLOCK, number=5) is Status.NO_SUCH_SLICE
        assert run(two, Request(Opcode.DISCARD, 3, 2**32 - 1)).status is Status.OUT_OF_RANGE
        assert backend.counters(first).refused == 3
    disk = hosts.disk.read_bytes()
    assert disk[3 * BLOCK : 5 * BLOCK] == b"a" * BLOCK + b"c" * BLOCK
    assert disk[8 * BLOCK : 9 * BLOCK] == b"b" * BLOCK
    assert sum(disk) == (ord("a") + ord("b") + ord("c")) * BLOCK


def test_a_slice_that_is_read_only_is_read_only(hosts: Hosts) -> None:
    hosts.disk.write_bytes(b"z" * DISK_BYTES)
    with (
        hosts.link("link") as (ours, theirs),
        Backend(BackendSettings(path=hosts.disk)) as backend,
        Frontend(ours) as frontend,
    ):
        backend.add_link(theirs, {0: Slice(0, DISK_BYTES, is_read_only=True)})
        assert read(frontend, 0, 1) == b"z" * BLOCK
        assert write(frontend, 0, b"x" * BLOCK) is Status.WRITE_PROTECTED
        for opcode in (Opcode.DISCARD, Opcode.WRITE_ZEROES):
            assert run(frontend, Request(opcode, 0, 1)).status is Status.WRITE_PROTECTED
        assert run(frontend, Request(Opcode.FLUSH)).status is Status.OK
    assert hosts.disk.read_bytes() == b"z" * DISK_BYTES


def test_a_link_with_a_slice_that_cannot_be_is_not_added(hosts: Hosts) -> None:
    with hosts.served() as (_, backend, link), hosts.link("other") as (_, theirs):
        backend.remove_slice(link, 0)
        good, beyond = Slice(0, BLOCK), Slice(DISK_BYTES, BLOCK)
        with pytest.raises(TiermemError, match="the device has"):
            backend.add_link(theirs, {0: good, 1: beyond})
        # Nothing of it is left: the first slice is free.
        backend.add_slice(link, 0, good)


def test_a_slice_that_was_taken_away_can_be_anothers(hosts: Hosts) -> None:
    with hosts.served() as (frontend, backend, link):
        backend.remove_slice(link, 0)
        assert write(frontend, 0, b"x" * BLOCK) is Status.NO_SUCH_SLICE
        backend.add_slice(link, 1, Slice(BLOCK, BLOCK))
        assert write(frontend, 0, b"y" * BLOCK, number=1) is Status.OK
    assert hosts.disk.read_bytes()[: 2 * BLOCK] == bytes(BLOCK) + b"y" * BLOCK


def submit_slow_writes(frontend: Frontend) -> None:
    """As many as there are tags; with FUA they take their time."""
    for lba in range(frontend.tags):
        frontend.submit(Request(Opcode.WRITE, lba, 1, is_fua=True), b"x" * BLOCK)


MOMENTS_S = [0.0003 * step for step in range(15)]
"""After which none, some or all of those are in flight."""


def test_what_is_in_flight_has_ended_when_a_slice_is_taken_away(hosts: Hosts) -> None:
    with hosts.served() as (frontend, backend, link):
        for moment_s in MOMENTS_S:
            before = backend.counters(link).completed
            submit_slow_writes(frontend)
            time.sleep(moment_s)
            backend.remove_slice(link, 0)
            ended = backend.counters(link).completed
            statuses = []
            while frontend.pending:
                statuses += [done.status for done in frontend.wait(timeout_s=20)]
            assert backend.counters(link).completed == ended
            assert statuses.count(Status.OK) == ended - before
            assert statuses.count(Status.NO_SUCH_SLICE) == frontend.tags - (ended - before)
            backend.add_slice(link, 0, Slice(0, DISK_BYTES))


def test_what_is_in_flight_has_ended_when_a_link_is_taken_away(hosts: Hosts) -> None:
    with Backend(BackendSettings(path=hosts.disk)) as backend:
        for moment_s in MOMENTS_S:
            with hosts.link("link") as (ours, theirs), Frontend(ours) as frontend:
                link = backend.add_link(theirs, {0: Slice(0, DISK_BYTES)})
                submit_slow_writes(frontend)
                time.sleep(moment_s)
                backend.remove_link(link)
                while frontend.wait():
                    pass
                pending = frontend.pending
                assert frontend.wait(timeout_s=0.02) == []
                assert frontend.pending == pending
