"""Frames in the ring of bytes: in one piece, never over one that is not free yet."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._net import ffi, lib

FRAME_MAX = int(lib.NET_FRAME_BYTES_MAX)
RING_MIN = int(lib.NET_RING_BYTES_MIN)
LINE = 64

LENGTHS = st.one_of(st.integers(24, 2000), st.integers(24, FRAME_MAX))
# A length is put; a number below 1 frees so much of what is on its way.
STEPS = st.lists(st.one_of(LENGTHS, st.floats(0, 1)), max_size=300)
RINGS = st.sampled_from([RING_MIN, RING_MIN + 4096, 1 << 20])


@dataclass(frozen=True)
class Placed:
    offset: int
    length: int

    def overlaps(self, other: Placed) -> bool:
        return self.offset < other.offset + other.length and (
            other.offset < self.offset + self.length
        )


class Ring:
    def __init__(self, size: int) -> None:
        self.size = size
        self.native = ffi.new("struct net_ring *")
        self.native.bytes = size
        self.native.base = self.base = ffi.cast("uint8_t *", 1 << 40)

    def put(self, length: int) -> Placed | None:
        room = lib.net_ring_room(self.native)
        if room == ffi.NULL:
            return None
        offset = lib.net_ring_put(self.native, length)
        assert room - self.base == offset
        return Placed(offset, length)

    def free(self, offset: int, length: int) -> bool:
        return bool(lib.net_ring_free(self.native, offset, length) == 0)


@given(RINGS, STEPS)
def test_no_frame_lies_where_another_is_on_its_way(size: int, steps: list[float]) -> None:
    ring, on_its_way = Ring(size), list[Placed]()
    for step in steps:
        if isinstance(step, int):
            placed = ring.put(step)
            if placed is None:
                # At most two of the longest are out of use: at the end, and before the tail.
                assert sum(frame.length + LINE for frame in on_its_way) > size - 3 * FRAME_MAX
                continue
            assert placed.offset % LINE == 0
            assert placed.offset + FRAME_MAX <= size
            assert not any(placed.overlaps(other) for other in on_its_way)
            on_its_way.append(placed)
        elif on_its_way:
            # The last one taken stands for all before it.
            last = int(step * (len(on_its_way) - 1))
            assert ring.free(on_its_way[last].offset, on_its_way[last].length)
            del on_its_way[: last + 1]


@given(st.lists(LENGTHS, max_size=3), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_peer_that_returns_what_it_has_not_got_frees_no_more_than_was_on_its_way(
    lengths: list[int], offset: int, length: int
) -> None:
    ring = Ring(RING_MIN)
    for frame in lengths:
        ring.put(frame)
    before = ring.native.head
    ring.free(offset, length)
    assert ring.native.head == before
    assert 0 <= ring.native.tail <= ring.native.head


def test_returned_twice_is_refused() -> None:
    ring = Ring(RING_MIN)
    frame = ring.put(100)
    assert frame is not None
    assert ring.free(frame.offset, frame.length)
    assert not ring.free(frame.offset, frame.length)
