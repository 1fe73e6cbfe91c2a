"""Eviction that finds out by itself how much recency and frequency are worth.

After ARC (Megiddo and Modha, FAST 2003): blocks used once and blocks used again are two
queues; ghosts, keys of who left either, tell which of the two was cut too short. Unlike
the paper's, a block may be in use and then stays for now.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain, islice

from tiermem.serving.kv.eviction import MayGo

_Queue = OrderedDict[bytes, None]


class Arc:
    """`blocks`: how many the tier has; as many ghosts are remembered."""

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._once: _Queue = OrderedDict()
        self._again: _Queue = OrderedDict()
        self._ghosts_once: _Queue = OrderedDict()
        self._ghosts_again: _Queue = OrderedDict()
        # How many of the tier's blocks those used once should have.
        self.once_target = 0.0

    def insert(self, key: bytes, cost: float) -> None:
        """Among those used again, where it was here before."""
        if key in self._ghosts_once:
            step = max(1.0, len(self._ghosts_again) / len(self._ghosts_once))
            self.once_target = min(self._blocks, self.once_target + step)
            del self._ghosts_once[key]
            self._again[key] = None
        elif key in self._ghosts_again:
            step = max(1.0, len(self._ghosts_once) / len(self._ghosts_again))
            self.once_target = max(0.0, self.once_target - step)
            del self._ghosts_again[key]
            self._again[key] = None
        else:
            self._once[key] = None

    def use(self, key: bytes) -> None:
        """Last to go of those used again."""
        self._once.pop(key, None)
        self._again[key] = None
        self._again.move_to_end(key)

    def remove(self, key: bytes) -> None:
        """Not remembered."""
        if key in self._once:
            del self._once[key]
        else:
            del self._again[key]

    def victim(self, may_go: MayGo) -> bytes | None:
        """Of the queue that has more than its share; of the other one if none there may go."""
        first = (self._once, self._ghosts_once)
        second = (self._again, self._ghosts_again)
        if len(self._once) <= self.once_target:
            first, second = second, first
        for queue, ghosts in (first, second):
            found = next((key for key in queue if may_go(key)), None)
            if found is not None:
                del queue[found]
                ghosts[found] = None
                self._forget()
                return found
        return None

    def order(self) -> Iterator[bytes]:
        """What those used once have above their share, then the others."""
        above = max(0, math.ceil(len(self._once) - self.once_target))
        return chain(islice(self._once, above), self._again, islice(self._once, above, None))

    def _forget(self) -> None:
        while len(self._ghosts_once) + len(self._ghosts_again) > self._blocks:
            longer = max(self._ghosts_once, self._ghosts_again, key=len)
            longer.popitem(last=False)
