"""Which blocks each reqId has mapped: vAttention's rules, without any memory.

A request **needs** the blocks of its tokens, and of those it was admitted with. Whatever
else is mapped, of reqIds that nobody uses (a request ended: reclamation is deferred) or
ahead of a running request, is there for whoever needs it. So a step succeeds exactly when
all that is needed fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tiermem.errors import ConfigError, NoSpaceError, TiermemError
from tiermem.serving.vattention.layout import KvLayout
from tiermem.serving.vattention.turns import Turns

FREE_SHARE = 100
"""Admission leaves at least one in so many blocks to the requests that run already."""


class Mapper(Protocol):
    """Where the blocks are mapped. An error leaves all as it was, but that covered blocks that
    were to be mapped may not be so any more."""

    def map(self, req_id: int, first: int, blocks: int) -> None:
        """Blocks that are not mapped."""

    def unmap(self, req_id: int, first: int, blocks: int) -> None:
        """Blocks that are."""

    def cover(self, req_id: int, first: int, blocks: int) -> None:
        """Blocks that are not mapped, and will be read."""


@dataclass
class Row:
    """One reqId. mapped_blocks: from its begin on; covered_blocks: readable up to there."""

    is_active: bool = False
    tokens: int = 0
    admitted_tokens: int = 0
    mapped_blocks: int = 0
    covered_blocks: int = 0


@dataclass(frozen=True)
class Usage:
    """Blocks: all there are, mapped, mapped and needed."""

    blocks: int
    mapped_blocks: int
    needed_blocks: int


class Allocator:
    """`blocks` blocks for the reqIds 0 to `layout.batch` - 1. Threads may share it."""

    def __init__(self, layout: KvLayout, blocks: int, mapper: Mapper) -> None:
        if blocks < 1:
            raise ConfigError(
                f"memory for {blocks} blocks: one takes {layout.block_bytes} bytes "
                f"({layout.tensors} page groups of {layout.group_bytes})"
            )
        self.layout = layout
        self.blocks = blocks
        self._mapper = mapper
        self._rows = [Row() for _ in range(layout.batch)]
        self._turns = Turns()

    @property
    def reserve_blocks(self) -> int:
        """What admission leaves free."""
        return -(-self.blocks // FREE_SHARE)

    @property
    def usage(self) -> Usage:
        """As it is now."""
        with self._turns.first():
            return Usage(self.blocks, self._mapped(), self._needed())

    def tokens(self, req_id: int) -> int:
        """How long an active request is, by its last step."""
        with self._turns.first():
            return self._active(req_id).tokens

    def mapped_blocks(self, req_id: int) -> int:
        """How many a reqId has, active or not."""
        with self._turns.first():
            return self._row(req_id).mapped_blocks

    def can_alloc(self, tokens: int) -> bool:
        """Whether `alloc_reqid` would succeed."""
        with self._turns.first():
            return self._refusal(tokens) is None

    def alloc_reqid(self, tokens: int = 0) -> int:
        """Admit a request that begins with so many tokens: its reqId.

        The inactive one with the smallest mapping that suffices, else with the largest.
        NoSpaceError where all are taken, or less than the reserve would be left.
        """
        with self._turns.first():
            if (refusal := self._refusal(tokens)) is not None:
                raise NoSpaceError(refusal)
            wanted = self.layout.blocks_of(tokens)
            chosen = self._choose(wanted)
            row = self._rows[chosen]
            row.is_active, row.tokens, row.admitted_tokens = True, 0, tokens
            return chosen

    def free_reqid(self, req_id: int) -> None:
        """The request ended; what is mapped stays until somebody needs it."""
        with self._turns.first():
            row = self._active(req_id)
            row.is_active, row.tokens, row.admitted_tokens = False, 0, 0

    def step(self, tokens: Mapping[int, int]) -> int:
        """Before requests are computed up to so many tokens each: map what is missing.

        Returns how many blocks were mapped. NoSpaceError where not all fit: then nothing
        has changed, and one of the requests has to end or to wait.
        """
        with self._turns.first():
            before = {req_id: self._active(req_id).tokens for req_id in tokens}
            for req_id, count in tokens.items():
                self._check_tokens(count)
                self._rows[req_id].tokens = count
            try:
                if (needed := self._needed()) > self.blocks:
                    raise NoSpaceError(
                        f"reqIds {sorted(tokens)}: {needed} blocks of {self.layout.block_bytes} "
                        f"bytes are needed by all active requests, there are {self.blocks}"
                    )
                return self._map_needed(tokens)
            except BaseException:
                for req_id, count in before.items():
                    self._rows[req_id].tokens = count
                raise

    def map_ahead(self, steps: int, blocks: int) -> bool:
        """Map one block for what an active request needs within `steps` more tokens, at most
        `blocks` beyond its last token's; whether there was one to map. The most urgent first."""
        with self._turns.last():
            urgent = self._urgent(steps, blocks)
            if urgent is None or not self._make_room(1, active_too=False):
                return False
            self._extend(urgent, 1)
            return True

    def is_short(self, steps: int, blocks: int) -> bool:
        """Whether `map_ahead` has something to map, or lacks the memory for it."""
        with self._turns.first():
            return self._urgent(steps, blocks) is not None

    def cover(self, req_id: int, tokens: int) -> None:
        """Make a row readable up to so many tokens, mapped or not."""
        with self._turns.first():
            row = self._active(req_id)
            self._check_tokens(tokens)
            first = max(row.mapped_blocks, row.covered_blocks)
            if (end := self.layout.blocks_of(tokens)) > first:
                self._mapper.cover(req_id, first, end - first)
                row.covered_blocks = end

    def reclaim(self) -> int:
        """Unmap all that no active request needs; how many blocks."""
        with self._turns.first():
            before = self._mapped()
            self._make_room(self.blocks, active_too=True)
            return before - self._mapped()

    def _row(self, req_id: int) -> Row:
        if not 0 <= req_id < len(self._rows):
            raise TiermemError(f"reqId {req_id}: there are 0 to {len(self._rows) - 1}")
        return self._rows[req_id]

    def _active(self, req_id: int) -> Row:
        row = self._row(req_id)
        if not row.is_active:
            raise TiermemError(f"reqId {req_id}: is no request's; alloc_reqid gives one")
        return row

    def _check_tokens(self, tokens: int) -> None:
        if not 0 <= tokens <= self.layout.context_tokens:
            raise TiermemError(f"{tokens} tokens: a request has 0 to {self.layout.context_tokens}")

    def _needs(self, row: Row) -> int:
        if not row.is_active:
            return 0
        return self.layout.blocks_of(max(row.tokens, row.admitted_tokens))

    def _needed(self) -> int:
        return sum(map(self._needs, self._rows))

    def _mapped(self) -> int:
        return sum(row.mapped_blocks for row in self._rows)

    def _refusal(self, tokens: int) -> str | None:
        self._check_tokens(tokens)
        if all(row.is_active for row in self._rows):
            return f"all {len(self._rows)} reqIds are taken"
        wanted, left = self.layout.blocks_of(tokens), self.blocks - self._needed()
        if wanted + self.reserve_blocks > left:
            return (
                f"{tokens} tokens: {wanted} blocks are wanted and {self.reserve_blocks} stay "
                f"free for running requests; {left} of {self.blocks} are not needed now"
            )
        return None

    def _choose(self, wanted: int) -> int:
        inactive = [req_id for req_id, row in enumerate(self._rows) if not row.is_active]

        def order(req_id: int) -> tuple[bool, int, int]:
            mapped = self._rows[req_id].mapped_blocks
            suffices = mapped >= wanted
            return not suffices, mapped if suffices else -mapped, req_id

        return min(inactive, key=order)

    def _map_needed(self, req_ids: Mapping[int, int]) -> int:
        missing = {
            req_id: more
            for req_id in sorted(req_ids)
            if (
                more := self.layout.blocks_of(self._rows[req_id].tokens)
                - self._rows[req_id].mapped_blocks
            )
            > 0
        }
        self._make_room(sum(missing.values()), active_too=True)
        for req_id, more in missing.items():
            self._extend(req_id, more)
        return sum(missing.values())

    def _extend(self, req_id: int, blocks: int) -> None:
        row = self._rows[req_id]
        first = row.mapped_blocks
        try:
            self._mapper.map(req_id, first, blocks)
        except TiermemError:
            end, row.covered_blocks = row.covered_blocks, min(row.covered_blocks, first)
            if end > first:
                self._mapper.cover(req_id, first, end - first)
                row.covered_blocks = end
            raise
        row.mapped_blocks += blocks

    def _urgent(self, steps: int, blocks: int) -> int | None:
        """The reqId that soon needs more than it has, and needs it first."""
        short = (
            (self._slack_bytes(row), req_id)
            for req_id, row in enumerate(self._rows)
            if row.is_active and row.mapped_blocks < self._ahead_target(row, steps, blocks)
        )
        first = min(short, default=None)
        return None if first is None else first[1]

    def _slack_bytes(self, row: Row) -> int:
        """Of each of its tensors, mapped beyond what it needs."""
        used = max(row.tokens, row.admitted_tokens) * self.layout.token_bytes
        return row.mapped_blocks * self.layout.group_bytes - used

    def _ahead_target(self, row: Row, steps: int, blocks: int) -> int:
        now = max(row.tokens, row.admitted_tokens)
        soon = min(now + steps, self.layout.context_tokens)
        return min(self.layout.blocks_of(soon), self.layout.blocks_of(now) + blocks)

    def _make_room(self, wanted: int, *, active_too: bool) -> bool:
        """Have `wanted` blocks unmapped, from the highest inactive reqId down, then (with
        `active_too`) of what is mapped ahead. Whether there are as many."""
        short = wanted - (self.blocks - self._mapped())
        kinds = (False, True) if active_too else (False,)
        for is_active in kinds:
            for req_id in reversed(range(len(self._rows))):
                row = self._rows[req_id]
                if short <= 0:
                    return True
                if row.is_active == is_active:
                    spare = row.mapped_blocks - self._needs(row)
                    short -= self._shrink(req_id, min(spare, short))
        return short <= 0

    def _shrink(self, req_id: int, blocks: int) -> int:
        """From its end; how many."""
        if blocks <= 0:
            return 0
        row = self._rows[req_id]
        self._mapper.unmap(req_id, row.mapped_blocks - blocks, blocks)
        row.mapped_blocks -= blocks
        row.covered_blocks = 0
        return blocks
