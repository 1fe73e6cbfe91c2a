"""Which bytes of an arena are whose: offsets handed out, and taken back.

Best fit: of the free pieces the smallest that the request fits in, at its lowest
address that is aligned. Neighbours that are free are one piece. Plain arithmetic,
without a lock and without memory: `arena.Arena` has both.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from tiermem.errors import NoSpaceError, TiermemError


class Space:
    """`size_bytes` from offset 0 on, all free at first. Offsets are aligned to `align_max_bytes`
    at most, which is what the memory's own address is aligned to."""

    def __init__(self, size_bytes: int, align_max_bytes: int, align_min_bytes: int = 1) -> None:
        self.size_bytes = size_bytes
        self.used_bytes = 0
        self._align_max_bytes = align_max_bytes
        self._align_min_bytes = align_min_bytes
        self._used: dict[int, int] = {}
        # The free pieces three times: by offset, their ends, by size.
        self._starts: list[int] = [0]
        self._end_of: dict[int, int] = {0: size_bytes}
        self._by_size: list[tuple[int, int]] = [(size_bytes, 0)]

    @property
    def free_bytes(self) -> int:
        """All that is not handed out, in however many pieces."""
        return self.size_bytes - self.used_bytes

    @property
    def largest_bytes(self) -> int:
        """The longest free piece."""
        return self._by_size[-1][0] if self._by_size else 0

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """The free pieces as (offset, bytes), ascending."""
        return [(start, self._end_of[start] - start) for start in self._starts]

    def allocate(self, size_bytes: int, align_bytes: int) -> int:
        """The offset of `size_bytes` that nobody else has.

        NoSpaceError with what is free; TiermemError where the request makes no sense.
        """
        self._check(size_bytes, align_bytes)
        align_bytes = max(align_bytes, self._align_min_bytes)
        for place in range(bisect_left(self._by_size, (size_bytes, 0)), len(self._by_size)):
            length, start = self._by_size[place]
            offset = -(-start // align_bytes) * align_bytes
            if offset + size_bytes <= start + length:
                self._take_out(start)
                self._put_in(start, offset)
                self._put_in(offset + size_bytes, start + length)
                self._used[offset] = size_bytes
                self.used_bytes += size_bytes
                return offset
        raise NoSpaceError(
            f"{size_bytes} bytes aligned to {align_bytes} are wanted; {self.free_bytes} of "
            f"{self.size_bytes} are free, the largest piece has {self.largest_bytes}"
        )

    def give_back(self, offset: int) -> None:
        """The end of what `allocate` gave out at `offset`. TiermemError where it did not."""
        size_bytes = self._used.pop(offset, None)
        if size_bytes is None:
            raise TiermemError(f"nothing was handed out at offset {offset}, or it was given back")
        self.used_bytes -= size_bytes
        start, end = offset, offset + size_bytes
        place = bisect_left(self._starts, offset)
        if place < len(self._starts) and self._starts[place] == end:
            end = self._end_of[self._starts[place]]
            self._take_out(self._starts[place])
        if place > 0 and self._end_of[self._starts[place - 1]] == offset:
            start = self._starts[place - 1]
            self._take_out(start)
        self._put_in(start, end)

    def _check(self, size_bytes: int, align_bytes: int) -> None:
        if size_bytes < 1:
            raise TiermemError(f"a buffer of {size_bytes} bytes: at least 1 is needed")
        if align_bytes < 1 or align_bytes & (align_bytes - 1):
            raise TiermemError(f"align = {align_bytes}: must be a power of two")
        if align_bytes > self._align_max_bytes:
            raise TiermemError(
                f"align = {align_bytes}: this memory is itself aligned to "
                f"{self._align_max_bytes} and no more"
            )

    def _put_in(self, start: int, end: int) -> None:
        if start < end:
            insort(self._starts, start)
            insort(self._by_size, (end - start, start))
            self._end_of[start] = end

    def _take_out(self, start: int) -> None:
        length = self._end_of.pop(start) - start
        del self._starts[bisect_left(self._starts, start)]
        del self._by_size[bisect_left(self._by_size, (length, start))]
