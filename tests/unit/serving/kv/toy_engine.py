"""An engine that is only memory: its KV is made from the tokens, so that it can be told right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from tiermem.serving.kv.engine_memory import EngineMemory, Layer
from tiermem.serving.kv.eviction import PolicyName
from tiermem.serving.kv.keys import KeyChain
from tiermem.serving.kv.memory_tier import Region
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.sessions import Match, Scheduled, Sessions
from tiermem.serving.kv.steps import Steps
from tiermem.serving.kv.store import KvStore

from tests.unit.serving.kv.tiers import IDENTITY, MappedRegion

SHAPE = RecordShape(pieces=4, piece_bytes=1000)
TOKENS = 32
BLOCKS = 8


class ToyEngine:
    """Blocks of its own, whose content a step "computes" from the tokens."""

    def __init__(
        self,
        path: Path,
        memory_blocks: int,
        region: Region | None = None,
        *,
        disk_blocks: int = 64,
        eviction: PolicyName = "lru",
        cxl: Region | None = None,
    ) -> None:
        self.kv = np.zeros((SHAPE.pieces, BLOCKS, SHAPE.piece_bytes), dtype=np.uint8)
        self.store = KvStore(
            region or MappedRegion(memory_blocks * SHAPE.bytes),
            SHAPE,
            TOKENS,
            IDENTITY,
            eviction=eviction,
            cxl=cxl,
            ssd=(path, 4096 + disk_blocks * SHAPE.bytes),
        )
        layers = [
            Layer(f"layer{number}", self.kv[number].ctypes.data, SHAPE.piece_bytes)
            for number in range(SHAPE.pieces)
        ]
        self.steps = Steps(self.store, EngineMemory(layers, SHAPE))
        self.sessions = Sessions(self.store, IDENTITY, always_restore=True)
        self.is_failing = False

    def match(self, name: str, tokens: list[int]) -> Match:
        """As a scheduler does: again, until there is an answer."""
        while (match := self.sessions.match(name, "", tokens, 0, 1)).blocks is None:
            time.sleep(0.001)
        return match

    def step(self, name: str, tokens: list[int], computed: int, ids: list[int]) -> None:
        """Compute what follows `computed` tokens."""
        part = Scheduled(name, computed, len(tokens) - computed, tokens, lambda: ids)
        self.steps.begin(self.sessions.plan([part]))
        self.steps.start_loads()
        for layer in range(SHAPE.pieces):
            self.steps.need_layer(layer)
            for depth in range(computed // TOKENS, len(tokens) // TOKENS):
                self.kv[layer, ids[depth]] = made(tokens[: (depth + 1) * TOKENS], layer)
            if self.is_failing and layer == 2:
                break
            self.steps.computed_layer(layer)
        self.steps.end()

    def run(self, name: str, tokens: list[int], ids: list[int]) -> tuple[int, set[int]]:
        """A request from its begin to its end; blocks restored, and which were bad."""
        match = self.match(name, tokens)
        assert match.blocks is not None
        self.sessions.admit(name, ids, match.blocks)
        if match.is_background:
            self.steps.begin(self.sessions.plan([]))
            self.steps.start_loads()
            self.steps.end()
            self.steps.drain()
            self.sessions.admit(name, ids, 0)
        self.step(name, tokens, match.blocks * TOKENS, ids)
        self.steps.drain()
        _restored, bad = self.steps.take_results()
        self.sessions.finish(name)
        return match.blocks, bad

    def is_right(self, tokens: list[int], ids: list[int]) -> bool:
        """Whether the engine's blocks are what they would be without tiers."""
        return all(
            bytes(self.kv[layer, ids[depth]]) == bytes(made(tokens[: (depth + 1) * TOKENS], layer))
            for layer in range(SHAPE.pieces)
            for depth in range(len(tokens) // TOKENS)
        )


def made(tokens: list[int], layer: int) -> np.ndarray:
    """KV that depends on all tokens before."""
    seed = np.random.default_rng([*tokens, layer])
    return seed.integers(0, 256, SHAPE.piece_bytes, dtype=np.uint8)


def said(number: int, length: int = 100) -> list[int]:
    return [number * 1000 + at for at in range(length)]


def keys_of(tokens: list[int]) -> list[bytes]:
    """Of the full blocks of these tokens."""
    return KeyChain(IDENTITY, TOKENS).extend(tokens)
