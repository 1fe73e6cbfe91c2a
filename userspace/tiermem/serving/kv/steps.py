"""What one step of an engine saves and restores: copies behind it, layer by layer.

An engine says when a step begins, when it needs a layer, when it has computed one, and
when the step ends. Blocks that a step made full are copied out while the next layers are
computed, and the step after it begins when they are out; blocks that it needs are copied
in while the layers before are computed, or before the request takes part, in the
background.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tiermem.serving.kv.counters import TierName
from tiermem.serving.kv.engine_memory import EngineMemory
from tiermem.serving.kv.job_thread import JobThread, Ticket
from tiermem.serving.kv.layer_copies import LayerCopier, LayerCopies
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.pieces import Pieces, load
from tiermem.serving.kv.store import KvStore


@dataclass(frozen=True, slots=True)
class Load:
    """Pinned blocks that go to those of the engine, for a request."""

    request_id: str
    block_ids: tuple[int, ...]
    blocks: tuple[Block, ...]
    is_background: bool


@dataclass(slots=True)
class Plan:
    """Of one step. saves: reserved blocks; prefill: tokens at the end, and new ones of them."""

    loads: list[Load] = field(default_factory=list)
    save_ids: list[int] = field(default_factory=list)
    save_blocks: list[Block] = field(default_factory=list)
    prefill: tuple[int, int] | None = None


@dataclass(slots=True)
class Part:
    """Of loads, what comes from one memory, which has a pace of its own. copies: once they are
    made ready."""

    tier: TierName
    ids: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    copies: LayerCopies = field(init=False)

    def memory(self, store: KvStore) -> MemoryTier:
        """Which one that is."""
        return store.near.tier(self.blocks[0])


def parts_of(loads: Iterable[Load]) -> list[Part]:
    """By memory; none that is empty."""
    found: dict[TierName, Part] = {}
    for one in loads:
        for number, block in zip(one.block_ids, one.blocks, strict=True):
            part = found.setdefault(block.tier, Part(block.tier))
            part.ids.append(number)
            part.blocks.append(block)
    return list(found.values())


class Steps:
    """One thread drives it. Nothing of a plan is left over when its step ends."""

    def __init__(self, store: KvStore, memory: EngineMemory) -> None:
        self._store, self._memory = store, memory
        self._copier = LayerCopier("kv-copy")
        self._settling = JobThread("kv-settle")
        self._background = JobThread("kv-restore")
        self._step = _Step(Plan())
        self._saved: Ticket | None = None
        self._lock = threading.Lock()
        self._bad_ids: set[int] = set()
        self._restored: set[str] = set()

    def settle(self) -> None:
        """What the last step made is out when this returns: its blocks may be written to."""
        if self._saved is not None:
            self._saved.wait()
            self._saved = None

    def begin(self, plan: Plan) -> None:
        """Before anything is computed."""
        self.settle()
        step = self._step = _Step(plan)
        now = [one for one in plan.loads if not one.is_background]
        step.parts = parts_of(now)
        for part in step.parts:
            pieces = self._memory.to_load(part.ids, part.blocks)
            part.copies = self._copies(pieces, part.memory(self._store), is_load=True)
        if plan.save_blocks:
            pieces = self._memory.to_save(plan.save_ids, plan.save_blocks)
            step.saves = self._copies(pieces, self._store.memory, is_load=False)

    @property
    def is_layered(self) -> bool:
        """Whether the step under way has to be told of its layers."""
        return bool(self._step.parts) or self._step.saves is not None

    def start_loads(self) -> None:
        """Those of the plan: the ones that the step needs layer by layer, the others beside."""
        for one in self._step.plan.loads:
            if one.is_background:
                self._background.submit(partial(self._restore, one))
        for layer in range(self._memory.shape.pieces if self._step.parts else 0):
            for part in self._step.parts:
                part.copies.start(layer)

    def layer_number(self, name: str) -> int:
        """Of a layer that the engine calls so."""
        return self._memory.index[name]

    def need_layer(self, layer: int) -> None:
        """It is there when this returns, or known to be bad."""
        for part in self._step.parts:
            part.copies.wait(layer)

    def computed_layer(self, layer: int) -> None:
        """Copy what the step made of it."""
        if self._step.saves is not None:
            self._step.saves.start(layer)

    def end(self) -> None:
        """The step is over. What was loaded wrong spoils what was made from it, and layers
        that were not told of were not computed: then nothing of the step is kept."""
        step, self._step = self._step, _Step(Plan())
        is_spoilt = self._end_loads(step)
        if step.saves is not None:
            is_spoilt = is_spoilt or not step.saves.is_all_started
            self._saved = self._settling.submit(
                partial(self._settle, step.plan.save_blocks, step.saves, is_spoilt=is_spoilt)
            )
        if step.plan.prefill is not None and not step.plan.loads:
            end, new = step.plan.prefill
            self._store.cost.note_prefill(end, new, time.monotonic() - step.begun_s)

    def take_results(self) -> tuple[set[str], set[int]]:
        """Requests whose background loads ended, and the engine's blocks that are bad."""
        with self._lock:
            restored, self._restored = self._restored, set()
            bad_ids, self._bad_ids = self._bad_ids, set()
        return restored, bad_ids

    def drain(self) -> None:
        """Wait until nothing is being copied."""
        tickets = [thread.submit(_nothing) for thread in (self._settling, self._background)]
        for ticket in tickets:
            ticket.wait()

    def close(self) -> None:
        """What is under way is done first."""
        self._settling.close()
        self._background.close()
        self._copier.close()

    def _copies(self, pieces: Pieces, tier: MemoryTier, *, is_load: bool) -> LayerCopies:
        size = self._memory.shape.piece_bytes
        return LayerCopies(self._copier, pieces, size, tier.pace, is_load=is_load)

    def _end_loads(self, step: _Step) -> bool:
        """Whether any of the step's own loads went wrong, or was not made."""
        is_bad = False
        for part in step.parts:
            part.copies.wait_all()
            if part.copies.is_all_started:
                self._note_loaded(part.copies.pieces, part, part.copies.took_s)
            else:
                self._note_lost(part.ids)
            with self._lock:
                is_bad = is_bad or not self._bad_ids.isdisjoint(part.ids)
            self._store.restored(part.blocks)
        return is_bad

    def _note_loaded(self, pieces: Pieces, part: Part, seconds: float) -> None:
        """How fast that was. Bad blocks are noted, and never found again."""
        size = pieces.size * self._memory.shape.piece_bytes
        self._store.cost.note_transfer(part.tier, size, seconds)
        for number in np.flatnonzero(pieces["is_bad"].any(axis=0)).tolist():
            self._note_lost([part.ids[number]])
            if part.memory(self._store).drop(part.blocks[number]):
                self._store.counters.add(part.tier, "corrupted")

    def _note_lost(self, ids: Sequence[int]) -> None:
        with self._lock:
            self._bad_ids.update(ids)

    # --- on the threads ---

    def _restore(self, one: Load) -> None:
        try:
            for part in parts_of([one]):
                pieces = self._memory.to_load(part.ids, part.blocks)
                begun_s = time.monotonic()
                load(pieces, self._memory.shape.piece_bytes, part.memory(self._store).pace)
                self._note_loaded(pieces, part, time.monotonic() - begun_s)
        except BaseException:
            self._note_lost(one.block_ids)
            raise
        finally:
            self._store.restored(one.blocks)
            with self._lock:
                self._restored.add(one.request_id)

    def _settle(self, blocks: Sequence[Block], saves: LayerCopies, *, is_spoilt: bool) -> None:
        saves.wait_all()
        if is_spoilt:
            for block in blocks:
                self._store.memory.abandon(block)
            return
        for block, sums in zip(blocks, saves.pieces["sum"].T.tolist(), strict=True):
            self._store.memory.commit(block, tuple(sums))
        self._store.saved(blocks)


class _Step:
    """What belongs to one step while it runs. parts: of the loads that it waits for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.begun_s = time.monotonic()
        self.parts: list[Part] = []
        self.saves: LayerCopies | None = None


def _nothing() -> None:
    pass
