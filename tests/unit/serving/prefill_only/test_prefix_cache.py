"""The prefix cache against a plain model of it, and what must be true of any use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.prefill_only.prefix_cache import Lease, PrefixCache

BLOCKS = 6
# Sequences of few tokens, so that many begin alike; a key stands for all up to its block.
SEQUENCES = st.lists(st.integers(0, 1), max_size=8).map(tuple)


def keys_of(sequence: tuple[int, ...]) -> list[bytes]:
    return [bytes(sequence[: end + 1]) for end in range(len(sequence))]


class Contents:
    """The cache with what was written to each place, as a request would read it."""

    def __init__(self) -> None:
        self.cache = PrefixCache(BLOCKS)
        self.written: dict[int, bytes] = {}
        self.leases: list[Lease] = []

    def begin(self, sequence: tuple[int, ...], read_max: int) -> Lease:
        keys = keys_of(sequence)
        there = self.cache.cached_blocks(keys)
        lease = self.cache.begin(keys, read_max)
        assert len(lease.read) == min(there, read_max)
        assert lease.written_from == there
        assert [self.written[place] for place in lease.read] == keys[: len(lease.read)]
        self.leases.append(lease)
        return lease

    def end(self, lease: Lease, is_written: bool) -> None:
        for key, place in zip(lease.keys[lease.written_from :], lease.write, strict=True):
            self.written[place] = key
        self.leases.remove(lease)
        self.cache.end(lease, is_written=is_written)

    def resident(self) -> set[bytes]:
        words = [
            bytes(int(bit) for bit in f"{n:0{size}b}")
            for size in range(1, 9)
            for n in range(1 << size)
        ]
        return {
            word for word in words if self.cache.cached_blocks(keys_of(tuple(word))) == len(word)
        }


@given(st.lists(st.tuples(SEQUENCES, st.integers(0, 8), st.booleans()), max_size=25))
def test_one_request_after_the_other(asked: list[tuple[tuple[int, ...], int, bool]]) -> None:
    """Hits have what was written for them, room is honoured and used, the prefix is kept."""
    contents = Contents()
    for sequence, read_max, is_written in asked:
        lease = contents.begin(sequence, read_max)
        # Nothing else runs: all places are this request's to have.
        assert len(lease.keys) == min(len(sequence), BLOCKS)
        contents.end(lease, is_written)
        if is_written:
            assert contents.cache.cached_blocks(keys_of(sequence)) == min(len(sequence), BLOCKS)
        assert contents.cache.used_blocks == len(contents.resident()) <= BLOCKS


@given(
    st.lists(st.tuples(SEQUENCES, st.integers(0, 8), st.booleans(), st.integers(0, 3)), max_size=25)
)
def test_several_under_way(asked: list[tuple[tuple[int, ...], int, bool, int]]) -> None:
    """What a request reads or writes is no other's until it ends."""
    contents = Contents()
    for sequence, read_max, is_written, ended in asked:
        contents.begin(sequence, read_max)
        for lease in contents.leases:
            assert [contents.written[place] for place in lease.read] == list(
                lease.keys[: len(lease.read)]
            )
        writes = [place for lease in contents.leases for place in lease.write]
        reads = {place for lease in contents.leases for place in lease.read}
        assert len(writes) == len(set(writes))
        assert not reads & set(writes)
        for lease in contents.leases[:ended]:
            contents.end(lease, is_written)
        for word in contents.resident():
            assert contents.cache.cached_blocks(keys_of(tuple(word))) == len(word)
    for lease in list(contents.leases):
        contents.end(lease, is_written=False)
    contents.cache.clear()
    assert contents.cache.used_blocks == 0


@given(SEQUENCES, st.lists(st.tuples(SEQUENCES, st.integers(0, 8)), min_size=1, max_size=4))
def test_of_several_that_begin_together_none_takes_what_another_reads(
    before: tuple[int, ...], asked: list[tuple[tuple[int, ...], int]]
) -> None:
    contents = Contents()
    contents.end(contents.begin(before, 8), is_written=True)
    there = [contents.cache.cached_blocks(keys_of(sequence)) for sequence, _ in asked]
    leases = contents.cache.begin_all([(keys_of(sequence), most) for sequence, most in asked])
    for lease, (sequence, most), count in zip(leases, asked, there, strict=True):
        assert len(lease.read) == min(count, most)
        read = [contents.written[place] for place in lease.read]
        assert read == keys_of(sequence)[: len(read)]
        assert not set(lease.read) & {place for one in leases for place in one.write}
    contents.leases = list(leases)
    for lease in leases:
        contents.end(lease, is_written=True)
    assert contents.cache.used_blocks == len(contents.resident())


def test_the_end_of_the_least_recent_goes_first() -> None:
    contents = Contents()
    for sequence in ((0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 0)):
        contents.end(contents.begin(sequence, 8), is_written=True)
    # (1, 0) needed one place: the end of (1, 1, 1) went, though (1,) is shared and was used now.
    assert contents.cache.cached_blocks(keys_of((0, 0, 0))) == 3
    assert contents.cache.cached_blocks(keys_of((1, 1, 1))) == 2
    assert contents.cache.cached_blocks(keys_of((1, 0))) == 2
    assert contents.cache.counts.evicted == 1


def test_a_suffix_that_does_not_fit_is_dropped() -> None:
    contents = Contents()
    long = (0, 1) * 4
    contents.end(contents.begin(long, 8), is_written=True)
    assert contents.cache.cached_blocks(keys_of(long)) == BLOCKS
    assert contents.cache.counts.dropped == len(long) - BLOCKS


def test_without_room_nothing_is_kept() -> None:
    cache = PrefixCache(0)
    lease = cache.begin(keys_of((0, 1)), 2)
    assert (lease.read, lease.write) == ((), ())
    cache.end(lease, is_written=True)
    assert cache.cached_blocks(keys_of((0, 1))) == 0
