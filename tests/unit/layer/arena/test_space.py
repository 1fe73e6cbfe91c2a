"""Handing out offsets, against a model that keeps a list of what every byte is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from tiermem.errors import NoSpaceError, TiermemError
from tiermem.layer.arena.space import Space

SIZE = 257
ALIGN_MAX = 64
sizes = st.integers(min_value=1, max_value=SIZE + 1)
aligns = st.sampled_from([1, 2, 4, 8, 16, 32, 64])


class Bytewise(RuleBasedStateMachine):
    """Every call on a Space and on a row of bytes, each of which is free or somebody's."""

    handed_out = Bundle("handed_out")

    def __init__(self) -> None:
        super().__init__()
        self.space = Space(SIZE, ALIGN_MAX)
        self.owner: list[int | None] = [None] * SIZE

    def free_runs(self) -> list[tuple[int, int]]:
        """(offset, bytes) of what is free, by looking at every byte."""
        runs: list[tuple[int, int]] = []
        for place, owner in enumerate(self.owner):
            if owner is not None:
                continue
            if runs and sum(runs[-1]) == place:
                runs[-1] = runs[-1][0], runs[-1][1] + 1
            else:
                runs.append((place, 1))
        return runs

    def fits(self, size: int, align: int) -> bool:
        """Whether there is any aligned place at all."""
        return any(
            -(-start // align) * align + size <= start + length
            for start, length in self.free_runs()
        )

    @rule(target=handed_out, size=sizes, align=aligns)
    def allocate(self, size: int, align: int) -> int | None:
        if not self.fits(size, align):
            with pytest.raises(NoSpaceError, match=f"{size} bytes aligned to {align} are wanted"):
                self.space.allocate(size, align)
            return None
        best = min(
            length
            for start, length in self.free_runs()
            if -(-start // align) * align + size <= start + length
        )
        offset = self.space.allocate(size, align)
        assert offset % align == 0
        assert set(self.owner[offset : offset + size]) == {None}, "it was somebody's"
        run = next(run for run in self.free_runs() if run[0] <= offset < sum(run))
        assert run[1] == best, "a smaller piece would have done"
        self.owner[offset : offset + size] = [offset] * size
        return offset

    @rule(offset=consumes(handed_out))
    def give_back(self, offset: int | None) -> None:
        if offset is None:
            return
        self.space.give_back(offset)
        self.owner = [None if owner == offset else owner for owner in self.owner]
        if offset not in self.owner:
            with pytest.raises(TiermemError, match="or it was given back"):
                self.space.give_back(offset)

    @invariant()
    def what_is_free_is_in_as_few_pieces_as_can_be(self) -> None:
        runs = self.free_runs()
        assert self.space.pieces == runs
        assert self.space.free_bytes == self.owner.count(None)
        assert self.space.used_bytes == SIZE - self.owner.count(None)
        assert self.space.largest_bytes == max((length for _, length in runs), default=0)


TestBytewise = Bytewise.TestCase
TestBytewise.settings = settings(stateful_step_count=25)


@given(st.lists(st.tuples(sizes, aligns)), st.randoms())
def test_all_that_is_given_back_is_one_piece_again(
    wanted: list[tuple[int, int]], order: object
) -> None:
    space, offsets = Space(SIZE, ALIGN_MAX), []
    for size, align in wanted:
        try:
            offsets.append(space.allocate(size, align))
        except NoSpaceError:
            continue
    order.shuffle(offsets)  # type: ignore[attr-defined]
    for offset in offsets:
        space.give_back(offset)
    assert space.pieces == [(0, SIZE)]


def test_the_least_alignment_keeps_whole_lines_apart() -> None:
    space = Space(1024, 4096, align_min_bytes=64)
    assert [space.allocate(10, 1) for _ in range(3)] == [0, 64, 128]
    assert space.used_bytes == 30


def test_it_says_what_is_free_and_what_the_largest_piece_is() -> None:
    space = Space(1000, 64)
    first = space.allocate(300, 1)
    space.allocate(100, 1)
    space.give_back(first)
    with pytest.raises(NoSpaceError, match=r"900 of 1000 are free, the largest piece has 600"):
        space.allocate(601, 1)


@pytest.mark.parametrize(
    ("size", "align", "says"),
    [
        (0, 1, "at least 1 is needed"),
        (-5, 1, "at least 1 is needed"),
        (1, 0, "must be a power of two"),
        (1, 48, "must be a power of two"),
        (1, 128, "is itself aligned to 64 and no more"),
    ],
)
def test_requests_that_make_no_sense(size: int, align: int, says: str) -> None:
    with pytest.raises(TiermemError, match=says):
        Space(1000, 64).allocate(size, align)
