"""Restore or compute again: what each would take, from what either took so far.

Nothing is set by hand. Until something was measured, restoring is taken to be worth it,
which measures it. A tier that loses is tried again now and then, for loads change.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from tiermem.serving.kv.counters import NEAR, TierName

_WEIGHT = 0.2
# Of this many times that a tier has lost, one is a trial.
_TRIAL_EVERY = 32


class Ewma:
    """A mean in which what was seen last weighs most. None before anything was seen."""

    def __init__(self) -> None:
        self.value: float | None = None

    def note(self, seen: float) -> None:
        """One more measurement."""
        self.value = seen if self.value is None else self.value + _WEIGHT * (seen - self.value)


@dataclass(frozen=True, slots=True)
class Choice:
    """How many of the blocks at hand to restore; the others are computed.

    near_blocks: of the first ones, which can be restored at once; staged_blocks: those behind
    them, of which some have to be staged before.
    """

    near_blocks: int
    staged_blocks: int


class CostModel:
    """Threads may share it. Rates: bytes/s of a tier, tokens/s of prefill by length."""

    def __init__(
        self, block_bytes: int, block_tokens: int, *, staged_in: TierName = "memory"
    ) -> None:
        """staged_in: where what is staged is restored from."""
        self._staged_in: TierName = staged_in
        self._block_bytes, self._block_tokens = block_bytes, block_tokens
        self._lock = threading.Lock()
        self._tiers: dict[TierName, Ewma] = {tier: Ewma() for tier in get_args(TierName)}
        # By the power of two that the tokens before the end are at least.
        self._prefill: dict[int, Ewma] = {}
        self._lost = {"near": 0, "staged": 0}

    def note_transfer(self, tier: TierName, size_bytes: int, seconds: float) -> None:
        """So many bytes came from it in that time."""
        if size_bytes > 0 and seconds > 0:
            with self._lock:
                self._tiers[tier].note(size_bytes / seconds)

    def note_prefill(self, end_tokens: int, new_tokens: int, seconds: float) -> None:
        """`new_tokens` that end at `end_tokens` were computed in that time."""
        if new_tokens > 0 and seconds > 0:
            with self._lock:
                bucket = self._prefill.setdefault(end_tokens.bit_length(), Ewma())
                bucket.note(new_tokens / seconds)

    def transfer_s(self, tier: TierName, blocks: int) -> float | None:
        """What so many blocks of it would take."""
        with self._lock:
            rate = self._tiers[tier].value
        return None if rate is None else blocks * self._block_bytes / rate

    def prefill_s(self, begin_blocks: int, blocks: int) -> float | None:
        """What computing so many blocks behind `begin_blocks` others would take."""
        end = (begin_blocks + blocks) * self._block_tokens
        with self._lock:
            if not self._prefill:
                return None
            nearest = min(self._prefill, key=lambda one: abs(one - end.bit_length()))
            rate = self._prefill[nearest].value
        return None if rate is None else blocks * self._block_tokens / rate

    def choose(
        self,
        local: int,
        near: Mapping[TierName, int],
        behind: Mapping[TierName, int],
        *,
        is_hidden: bool,
    ) -> Choice:
        """Of the blocks that can be restored at once, and of those `behind` them, by the tiers
        that have them; all of them follow `local` ones in the engine's own cache.

        A block of near memory that one behind precedes counts as behind, and is not staged.

        is_hidden: others compute while blocks are staged, so that only restoring them is
        waited for.
        """
        at_once, staged = sum(near.values()), sum(behind.values())
        if at_once and not self._is_worth("near", self._transfers_s(near), local, at_once):
            return Choice(0, 0)
        if staged and self._is_worth(
            "staged", self._staged_s(behind, is_hidden), local + at_once, staged
        ):
            return Choice(at_once, staged)
        return Choice(at_once, 0)

    def _staged_s(self, behind: Mapping[TierName, int], is_hidden: bool) -> float:
        there = {tier: count for tier, count in behind.items() if tier in NEAR}
        staged = {tier: count for tier, count in behind.items() if tier not in NEAR}
        restored_s = self.transfer_s(self._staged_in, sum(staged.values())) or 0.0
        staging_s = 0.0 if is_hidden else self._transfers_s(staged)
        return self._transfers_s(there) + restored_s + staging_s

    def _transfers_s(self, blocks: Mapping[TierName, int]) -> float:
        return sum(self.transfer_s(tier, count) or 0.0 for tier, count in blocks.items())

    def _is_worth(self, which: str, restore_s: float, begin: int, blocks: int) -> bool:
        compute_s = self.prefill_s(begin, blocks)
        if compute_s is None or restore_s < compute_s:
            return True
        with self._lock:
            self._lost[which] += 1
            return self._lost[which] % _TRIAL_EVERY == 0

    def snapshot(self) -> dict[str, dict[str, float]]:
        """What was measured: bytes/s by tier, tokens/s by least number of tokens."""
        with self._lock:
            return {
                "bytes_per_s": {
                    tier: one.value for tier, one in self._tiers.items() if one.value is not None
                },
                "prefill_tokens_per_s": {
                    str(1 << bits >> 1): one.value
                    for bits, one in sorted(self._prefill.items())
                    if one.value is not None
                },
            }
