"""Who goes when a tier is full.

A policy knows keys only. The tier tells it what comes, is used and goes, and asks for a
victim among those that may go now. `make_policy` has them all by name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

PolicyName = Literal["fifo", "lru", "arc", "cost"]
MayGo = Callable[[bytes], bool]


class EvictionPolicy(Protocol):
    """What a tier asks of it. `cost`: of making the block again, in any unit."""

    def insert(self, key: bytes, cost: float) -> None:
        """It is in the tier now, and was not."""

    def use(self, key: bytes) -> None:
        """It was asked for, and is in the tier."""

    def remove(self, key: bytes) -> None:
        """It left the tier for another reason than as a victim."""

    def victim(self, may_go: MayGo) -> bytes | None:
        """Which one goes; it counts as gone. None where none may."""

    def order(self) -> Iterator[bytes]:
        """All of them, in about the order in which they would go; nothing may change meanwhile."""


class Fifo:
    """First in, first out, as fast memory of finished requests is reused."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def insert(self, key: bytes, cost: float) -> None:
        """At the end of the queue."""
        self._keys[key] = None

    def use(self, key: bytes) -> None:
        """Changes nothing."""

    def remove(self, key: bytes) -> None:
        """Wherever it is."""
        del self._keys[key]

    def victim(self, may_go: MayGo) -> bytes | None:
        """The first that may go."""
        found = next((key for key in self._keys if may_go(key)), None)
        if found is not None:
            del self._keys[found]
        return found

    def order(self) -> Iterator[bytes]:
        """From the front of the queue."""
        return iter(self._keys)


class Lru(Fifo):
    """The one that was not used for longest."""

    def use(self, key: bytes) -> None:
        """To the end of the queue."""
        self._keys.move_to_end(key)


def make_policy(name: PolicyName, blocks: int) -> EvictionPolicy:
    """For a tier of so many blocks."""
    from tiermem.serving.kv.arc import Arc
    from tiermem.serving.kv.cost_aware import CostAware

    policies: dict[PolicyName, Callable[[], EvictionPolicy]] = {
        "fifo": Fifo,
        "lru": Lru,
        "arc": lambda: Arc(blocks),
        "cost": CostAware,
    }
    return policies[name]()
