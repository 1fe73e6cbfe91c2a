"""Which block is in which place of a tier that has places of one size, and who makes room."""

from __future__ import annotations

from collections.abc import Iterable

from tiermem.serving.kv.eviction import EvictionPolicy, MayGo


class Places:
    """Numbers, with a block in each or none. Whoever has it guards it.

    free: those with none, of which the last is taken first.
    """

    def __init__(self, policy: EvictionPolicy, free: Iterable[int] = ()) -> None:
        self._policy, self._of = policy, dict[bytes, int]()
        self.free = list(free)

    def __contains__(self, key: bytes) -> bool:
        return key in self._of

    def __len__(self) -> int:
        return len(self._of)

    def of(self, key: bytes) -> int | None:
        """Where a block is."""
        return self._of.get(key)

    def put(self, key: bytes, place: int, cost: float) -> None:
        """It is there now. cost: of making the block again."""
        self._of[key] = place
        self._policy.insert(key, cost)

    def use(self, key: bytes) -> None:
        """It was asked for."""
        if key in self._of:
            self._policy.use(key)

    def forget(self, key: bytes) -> None:
        """It is not there any more; its place is free."""
        place = self._of.pop(key, None)
        if place is not None:
            self._policy.remove(key)
            self.free.append(place)

    def forget_all(self) -> None:
        """The same of all."""
        for key in list(self._of):
            self.forget(key)

    def evict(self, may_go: MayGo) -> int | None:
        """The place of the block that goes; None where none may."""
        victim = self._policy.victim(may_go)
        return None if victim is None else self._of.pop(victim)
