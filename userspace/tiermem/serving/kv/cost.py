"""Restore or compute again: what each would take, from what either took so far.

Nothing is set by hand. Until something was measured, restoring is taken to be worth it,
which measures it. A tier that loses is tried again now and then, for loads change.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tiermem.serving.kv.counters import TierName

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
    """How many of the blocks at hand to take from each tier; the others are computed."""

    memory_blocks: int
    ssd_blocks: int


class CostModel:
    """Threads may share it. Rates: bytes/s of a tier, tokens/s of prefill by length."""

    def __init__(self, block_bytes: int, block_tokens: int) -> None:
        self._block_bytes, self._block_tokens = block_bytes, block_tokens
        self._lock = threading.Lock()
        self._tiers: dict[TierName, Ewma] = {"memory": Ewma(), "ssd": Ewma()}
        # By the power of two that the tokens before the end are at least.
        self._prefill: dict[int, Ewma] = {}
        self._lost: dict[TierName, int] = {"memory": 0, "ssd": 0}

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

    def choose(self, local: int, memory: int, ssd: int, *, is_hidden: bool) -> Choice:
        """Of `memory` and then `ssd` blocks that follow `local` ones in the engine's own cache.

        is_hidden: others compute while SSD is read, so that only bringing the blocks back
        from memory is waited for.
        """
        if memory and not self._is_worth("memory", local, memory, 0):
            return Choice(0, 0)
        if ssd and self._is_worth("ssd", local + memory, ssd, 0 if is_hidden else ssd):
            return Choice(memory, ssd)
        return Choice(memory, 0)

    def _is_worth(self, tier: TierName, begin: int, blocks: int, staged: int) -> bool:
        compute_s = self.prefill_s(begin, blocks)
        # What is staged is brought back from memory afterwards.
        parts = [self.transfer_s("memory", blocks), self.transfer_s("ssd", staged)]
        restore_s = sum(part for part in parts if part is not None)
        if compute_s is None or restore_s < compute_s:
            return True
        with self._lock:
            self._lost[tier] += 1
            return self._lost[tier] % _TRIAL_EVERY == 0

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
