"""Stands for memory in tests of the allocator: it holds every block to the rules."""

from __future__ import annotations

from tiermem.errors import KernelError


class CheckedMapper:
    """Which blocks are mapped, by reqId: from the first on, without a hole, never too many."""

    def __init__(self, requests: int, blocks: int) -> None:
        self.blocks = blocks
        self.mapped = [0] * requests
        self.covered: list[set[int]] = [set() for _ in range(requests)]
        self.calls: list[tuple[str, int, int, int]] = []
        self.calls_until_failure: int | None = None

    def map(self, req_id: int, first: int, blocks: int) -> None:
        """At the end of what is mapped. Where it fails, what was covered there need not be so."""
        try:
            self._call("map", req_id, first, blocks)
        except KernelError:
            self.covered[req_id] -= set(range(first, first + blocks))
            raise
        assert first == self.mapped[req_id], "mapped twice, or with a hole"
        self.mapped[req_id] += blocks
        self.covered[req_id] -= set(range(first, first + blocks))
        assert sum(self.mapped) <= self.blocks, "more than there is"

    def unmap(self, req_id: int, first: int, blocks: int) -> None:
        """From the end of what is mapped."""
        self._call("unmap", req_id, first, blocks)
        assert first + blocks == self.mapped[req_id], "not mapped, or leaves a hole"
        self.mapped[req_id] = first

    def cover(self, req_id: int, first: int, blocks: int) -> None:
        """Beyond what is mapped."""
        self._call("cover", req_id, first, blocks)
        assert first >= self.mapped[req_id], "would hide what is mapped"
        self.covered[req_id] |= set(range(first, first + blocks))

    def is_readable(self, req_id: int, blocks: int) -> bool:
        """Whether so many of its blocks can be read."""
        return all(
            block < self.mapped[req_id] or block in self.covered[req_id] for block in range(blocks)
        )

    def _call(self, name: str, req_id: int, first: int, blocks: int) -> None:
        assert blocks > 0
        if self.calls_until_failure is not None:
            if self.calls_until_failure == 0:
                raise KernelError(f"{name} block {first} of reqId {req_id}", 12)
            self.calls_until_failure -= 1
        self.calls.append((name, req_id, first, blocks))
