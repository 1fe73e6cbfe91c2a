"""Which blocks of KV are kept, and in which places: suffix KV discard (PrefillOnly, 4.2).

Of each request as much of its prefix is kept as fits, and the rest is dropped. Who was used
longest ago goes first, and of one request its end before its begin: so whatever is there, all
of its prefix is there as well. What a request under way reads or writes stays.

Blocks are known by their keys (`kv.keys`), which stand for all tokens up to the block's end.
Nothing here holds KV: a place is a number below `blocks`. For one thread at a time.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lease:
    """What a request may use until it ends it.

    read: places of its first blocks, in order, which are there. write: places for the blocks
    that come behind all those that are there; `written_from` is the first one's number.
    """

    read: tuple[int, ...]
    write: tuple[int, ...]
    written_from: int
    keys: tuple[bytes, ...]


@dataclass(slots=True)
class Counts:
    """Since the start, in blocks. dropped: ends of requests that did not fit."""

    hits: int = 0
    misses: int = 0
    kept: int = 0
    dropped: int = 0
    evicted: int = 0


@dataclass
class PrefixCache:
    """Room for so many blocks."""

    blocks: int
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._free = list(range(self.blocks - 1, -1, -1))
        # Used longest ago first.
        self._place: OrderedDict[bytes, int] = OrderedDict()
        self._in_use: Counter[bytes] = Counter()

    @property
    def used_blocks(self) -> int:
        """Kept, or being written."""
        return self.blocks - len(self._free)

    def cached_blocks(self, keys: Sequence[bytes]) -> int:
        """How many of the first blocks are there; nothing counts as used by asking."""
        return next((n for n, key in enumerate(keys) if key not in self._place), len(keys))

    def begin(self, keys: Sequence[bytes], read_max: int) -> Lease:
        """A request with these full blocks, which reads `read_max` of them at most."""
        (lease,) = self.begin_all([(keys, read_max)])
        return lease

    def begin_all(self, asked: Sequence[tuple[Sequence[bytes], int]]) -> list[Lease]:
        """Several that run together: what one of them reads makes no room for another."""
        there = [self.cached_blocks(keys) for keys, _ in asked]
        for (keys, _), count in zip(asked, there, strict=True):
            self._in_use.update(keys[:count])
        return [
            self._lease(keys, count, min(count, read_max))
            for (keys, read_max), count in zip(asked, there, strict=True)
        ]

    def _lease(self, keys: Sequence[bytes], there: int, read: int) -> Lease:
        write = self._make_room(len(keys) - there)
        self.counts.hits += read
        self.counts.misses += len(keys) - read
        self.counts.dropped += len(keys) - there - len(write)
        return Lease(
            read=tuple(self._place[key] for key in keys[:read]),
            write=tuple(write),
            written_from=there,
            keys=tuple(keys[: there + len(write)]),
        )

    def end(self, lease: Lease, *, is_written: bool) -> None:
        """The request is done. Without is_written what it was to write is free again."""
        old, new = lease.keys[: lease.written_from], lease.keys[lease.written_from :]
        for key in old:
            self._in_use[key] -= 1
            if not self._in_use[key]:
                del self._in_use[key]
        for key, place in zip(reversed(new), reversed(lease.write), strict=True):
            if is_written and key not in self._place:
                self._place[key] = place
                self.counts.kept += 1
            else:
                self._free.append(place)
        for key in reversed(old):
            self._place.move_to_end(key)

    def clear(self) -> None:
        """Forget all that no request uses."""
        for key in [key for key in self._place if key not in self._in_use]:
            self._free.append(self._place.pop(key))

    def _make_room(self, wanted: int) -> list[int]:
        """Places for as many blocks as can be had, at most `wanted`."""
        short = wanted - len(self._free)
        if short > 0:
            idle = (key for key in self._place if key not in self._in_use)
            for key in [key for key, _ in zip(idle, range(short), strict=False)]:
                self._free.append(self._place.pop(key))
                self.counts.evicted += 1
        return [self._free.pop() for _ in range(min(wanted, len(self._free)))]
