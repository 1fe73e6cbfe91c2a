"""Random commands, many in flight, against a disk that is an array."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiermem.errors import NoSpaceError
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status
from tiermem.oasis.storage.link import LinkSize

from tests.unit.oasis.storage.hosts import DISK_BYTES, SIZE, SMALL_BLOCKS, Hosts, read, run

CHANGES = (Opcode.WRITE, Opcode.WRITE_ZEROES, Opcode.DISCARD)
WAYS = pytest.mark.parametrize(
    ("size", "is_direct"), [(SIZE, True), (SIZE, False), (SMALL_BLOCKS, False)]
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Of the first 32 blocks, so that they meet."""
    opcode = draw(st.sampled_from(Opcode))
    if opcode is Opcode.FLUSH:
        return Request(opcode)
    lba = draw(st.integers(0, 31))
    is_fua = opcode in CHANGES and draw(st.booleans())
    return Request(opcode, lba, draw(st.integers(1, 4)), is_fua=is_fua)


def conflicts(one: Request, other: Request) -> bool:
    """Whether the order of two that are in flight together would be seen."""
    return (
        (one.opcode in CHANGES or other.opcode in CHANGES)
        and one.lba < other.lba + other.blocks
        and other.lba < one.lba + one.blocks
    )


@dataclass
class Reference:
    """What the disk has once all in flight has ended, and what they are to answer."""

    frontend: Frontend
    blocks: npt.NDArray[np.uint8]
    in_flight: dict[int, tuple[Request, bytes]] = field(default_factory=dict)

    def submit(self, request: Request, fill: int) -> None:
        while any(conflicts(request, other) for other, _ in self.in_flight.values()):
            self.take()
        place = self.blocks[request.lba : request.lba + request.blocks]
        if request.opcode is Opcode.WRITE:
            place[:] = np.random.default_rng(fill).integers(0, 256, place.shape, np.uint8)
        elif request.opcode in CHANGES:
            place[:] = 0
        data = place.tobytes()
        tag = self.frontend.submit(request, data if request.opcode is Opcode.WRITE else b"")
        self.in_flight[tag] = request, data

    def take(self) -> None:
        done = self.frontend.wait(timeout_s=20)
        assert done
        for completion in done:
            request, data = self.in_flight.pop(completion.tag)
            assert completion.status is Status.OK, request
            if request.opcode is Opcode.READ:
                assert completion.data == data, request


@WAYS
@given(commands=st.lists(requests(), min_size=1, max_size=60), fill=st.integers(0, 1000))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_disk_ends_as_the_array_does(
    module_hosts: Hosts, size: LinkSize, is_direct: bool, commands: list[Request], fill: int
) -> None:
    module_hosts.disk.write_bytes(bytes(DISK_BYTES))
    blocks = np.zeros((DISK_BYTES // size.block_bytes, size.block_bytes), np.uint8)
    with module_hosts.served(size=size, is_direct=is_direct) as (frontend, backend, link):
        reference = Reference(frontend, blocks)
        for number, request in enumerate(commands):
            reference.submit(request, fill + number)
        while reference.in_flight:
            reference.take()
        assert backend.counters(link).refused == 0
    assert module_hosts.disk.read_bytes() == blocks.tobytes()


def test_as_many_commands_as_there_are_tags_are_in_flight(hosts: Hosts) -> None:
    rounds = 20
    with hosts.served() as (frontend, backend, link):
        block = bytes(range(256)) * 16
        for _ in range(rounds):
            for lba in range(frontend.tags):
                frontend.submit(Request(Opcode.WRITE, lba, 1), block)
            with pytest.raises(NoSpaceError):
                frontend.submit(Request(Opcode.FLUSH))
            done = []
            while frontend.pending:
                done += frontend.wait(timeout_s=20)
            assert {completion.status for completion in done} == {Status.OK}
        assert read(frontend, frontend.tags - 4, 4) == block * 4
        assert backend.counters(link).completed == rounds * frontend.tags + 1


def test_a_device_that_ends_before_its_slice_is_an_error(hosts: Hosts) -> None:
    with hosts.served(is_direct=False) as (frontend, backend, link):
        with hosts.disk.open("r+b") as disk:
            disk.truncate(DISK_BYTES // 2)
        last = DISK_BYTES // frontend.block_bytes - 1
        assert run(frontend, Request(Opcode.READ, last, 1)).status is Status.READ_ERROR
        assert backend.counters(link).failed == 1
