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
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tiermem.serving.kv.copier import Copier, Ticket
from tiermem.serving.kv.engine_memory import EngineMemory
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.pieces import load, save
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


class Steps:
    """One thread drives it. Nothing of a plan is left over when its step ends."""

    def __init__(self, store: KvStore, memory: EngineMemory) -> None:
        self._store, self._memory = store, memory
        self._copier = Copier("kv-copy")
        self._background = Copier("kv-restore")
        self._step = _Step(Plan(), memory.shape.pieces)
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
        self._step = _Step(plan, self._memory.shape.pieces)

    def start_loads(self) -> None:
        """Those of the plan: the ones that the step needs layer by layer, the others beside."""
        step = self._step
        for one in step.plan.loads:
            if one.is_background:
                self._background.submit(partial(self._restore, one))
        if step.load_ids:
            step.layer_loads = [
                self._copier.submit(
                    partial(self._load_layer, layer, step.load_ids, step.load_blocks)
                )
                for layer in range(self._memory.shape.pieces)
            ]

    def layer_number(self, name: str) -> int:
        """Of a layer that the engine calls so."""
        return self._memory.index[name]

    def need_layer(self, layer: int) -> None:
        """It is there when this returns, or known to be bad."""
        if self._step.layer_loads:
            self._step.layer_loads[layer].wait()

    def computed_layer(self, layer: int) -> None:
        """Copy what the step made of it."""
        step = self._step
        if step.plan.save_blocks and layer not in step.layer_saves:
            step.layer_saves[layer] = self._copier.submit(partial(self._save_layer, step, layer))

    def end(self) -> None:
        """The step is over. What was loaded wrong spoils what was made from it, and layers
        that were not told of were not computed: then nothing of the step is kept."""
        step, self._step = self._step, _Step(Plan(), self._memory.shape.pieces)
        for ticket in step.layer_loads:
            ticket.wait()
        is_spoilt = self._end_loads(step)
        if step.plan.save_blocks:
            is_spoilt = is_spoilt or len(step.layer_saves) < self._memory.shape.pieces
            self._saved = self._copier.submit(partial(self._settle, step, is_spoilt=is_spoilt))
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
        tickets = [copier.submit(_nothing) for copier in (self._copier, self._background)]
        for ticket in tickets:
            ticket.wait()

    def close(self) -> None:
        """What is under way is done first."""
        self._copier.close()
        self._background.close()

    def _end_loads(self, step: _Step) -> bool:
        """Whether any of the step's own loads went wrong."""
        if not step.load_ids:
            return False
        is_broken = any(ticket.is_broken for ticket in step.layer_loads)
        with self._lock:
            if is_broken or not step.layer_loads:
                self._bad_ids.update(step.load_ids)
            is_bad = not self._bad_ids.isdisjoint(step.load_ids)
        self._store.restored(step.load_blocks)
        return is_bad

    # --- on the copiers' threads ---

    def _load_layer(self, layer: int, ids: Sequence[int], blocks: Sequence[Block]) -> None:
        """Bad blocks are noted, and never found again."""
        pieces = self._memory.to_load(layer, ids, blocks)
        size = self._memory.shape.piece_bytes
        begun_s = time.monotonic()
        bad = load(pieces, size, self._store.memory.pace)
        self._store.cost.note_transfer("memory", len(blocks) * size, time.monotonic() - begun_s)
        for number in np.flatnonzero(pieces["is_bad"]).tolist() if bad else ():
            self._note_bad(ids[number], blocks[number])

    def _note_bad(self, block_id: int, block: Block) -> None:
        with self._lock:
            self._bad_ids.add(block_id)
        if self._store.memory.drop(block):
            self._store.counters.add("memory", "corrupted")

    def _restore(self, one: Load) -> None:
        try:
            for layer in range(self._memory.shape.pieces):
                self._load_layer(layer, one.block_ids, one.blocks)
        except BaseException:
            with self._lock:
                self._bad_ids.update(one.block_ids)
            raise
        finally:
            self._store.restored(one.blocks)
            with self._lock:
                self._restored.add(one.request_id)

    def _save_layer(self, step: _Step, layer: int) -> None:
        pieces = self._memory.to_save(layer, step.plan.save_ids, step.plan.save_blocks)
        save(pieces, self._memory.shape.piece_bytes, self._store.memory.pace)
        step.sums[:, layer] = pieces["sum"]

    def _settle(self, step: _Step, *, is_spoilt: bool) -> None:
        blocks = step.plan.save_blocks
        if is_spoilt or any(ticket.is_broken for ticket in step.layer_saves.values()):
            for block in blocks:
                self._store.memory.abandon(block)
            return
        for block, sums in zip(blocks, step.sums.tolist(), strict=True):
            self._store.memory.commit(block, tuple(sums))
        self._store.saved(blocks)


class _Step:
    """What belongs to one step while it runs."""

    def __init__(self, plan: Plan, pieces: int) -> None:
        self.plan = plan
        self.begun_s = time.monotonic()
        now = [one for one in plan.loads if not one.is_background]
        self.load_ids = [number for one in now for number in one.block_ids]
        self.load_blocks = [block for one in now for block in one.blocks]
        self.layer_loads: list[Ticket] = []
        self.layer_saves: dict[int, Ticket] = {}
        self.sums = np.zeros((len(plan.save_blocks), pieces), dtype=np.uint32)


def _nothing() -> None:
    pass
