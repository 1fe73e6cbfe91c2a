"""What vAttention costs a step of a model, and what a paged cache would cost instead."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from tiermem.serving.vattention import Ahead, KvLayout, VAttention, init
from tiermem.serving.vattention.cache import VirtualCache
from tiermem.serving.vattention.tensors import KvTensors, layout_of
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM

from bench.smollm2 import model_folder

GROUP_BYTES = 64 << 10
PROMPT_TOKENS = 64
BEFORE, WITHIN, AHEAD = "all before", "within the step", "ahead"
PAGE_TOKENS = 16


@dataclass(frozen=True)
class Steps:
    """Decoding with memory mapped at one of three times; medians and sums over its steps."""

    mapping: str
    layers_together: bool
    steps: int
    mapped_bytes: int
    step_s: float
    total_s: float
    waited_s: float

    @property
    def overhead(self) -> float:
        """Time that steps waited for memory, over the time of the rest of them."""
        return self.waited_s / (self.total_s - self.waited_s)


@dataclass(frozen=True)
class Attention:
    """One step's storing and reading of KV, and attention, of all layers; medians."""

    cache: str
    batch: int
    tokens: int
    seconds: float


@dataclass
class _Run:
    """A request that decodes."""

    mapping: str
    kv: VAttention
    cache: Any
    token: torch.Tensor
    times_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)


def step_times(steps: int, *, layers_together: bool) -> list[Steps]:
    """SmolLM2 in fp32, three requests with a step each in turn, so that what else runs on
    the machine meets all alike."""
    model = AutoModelForCausalLM.from_pretrained(model_folder("float32"), dtype=torch.float32)
    layout = layout_of(
        model.config,
        model.dtype,
        context_tokens=PROMPT_TOKENS + steps + 1,
        batch=1,
        group_bytes=GROUP_BYTES,
        layers_together=layers_together,
    )
    with torch.inference_mode(), ExitStack() as open_kv:
        runs = [_begin(model, layout, mapping, open_kv) for mapping in (BEFORE, WITHIN, AHEAD)]
        before = {run.mapping: run.kv.usage.mapped_blocks for run in runs}
        for _ in range(steps):
            for run in runs:
                _step(model, run)
        found = [_summary(run, before[run.mapping]) for run in runs]
        for run in runs:
            del run.cache
    return found


def _begin(model: Any, layout: KvLayout, mapping: str, open_kv: ExitStack) -> _Run:
    ahead = Ahead() if mapping == AHEAD else None
    # Admission wants its reserve beside the whole context.
    memory_bytes = (layout.row_blocks + layout.row_blocks // 50 + 1) * layout.block_bytes
    kv = open_kv.enter_context(init(layout, memory_bytes=memory_bytes, ahead=ahead))
    req_id = kv.alloc_reqid()
    if mapping == BEFORE:
        kv.step({req_id: layout.context_tokens})
        kv.step({req_id: 0})
    cache = VirtualCache(KvTensors(kv, model.dtype), [req_id])
    prompt = torch.arange(100, 100 + PROMPT_TOKENS)[None]
    token = model(prompt, past_key_values=cache).logits[:, -1:].argmax(-1)
    run = _Run(mapping, kv, cache, token)
    _time_waits(run)
    return run


def _time_waits(run: _Run) -> None:
    """Note what every `step` of a run takes: what is on the critical path, to the thread."""
    plain = run.kv.step

    def timed(tokens: Any) -> int:
        begin = time.perf_counter()
        try:
            return plain(tokens)
        finally:
            run.waits_s.append(time.perf_counter() - begin)

    run.kv.step = timed  # type: ignore[method-assign]


def _step(model: Any, run: _Run) -> None:
    begin = time.perf_counter()
    run.token = model(run.token, past_key_values=run.cache).logits[:, -1:].argmax(-1)
    run.times_s.append(time.perf_counter() - begin)


def _summary(run: _Run, blocks_before: int) -> Steps:
    layout = run.kv.layout
    return Steps(
        run.mapping,
        layout.layers_together,
        len(run.times_s),
        (run.kv.usage.mapped_blocks - blocks_before) * layout.block_bytes,
        statistics.median(run.times_s),
        sum(run.times_s),
        sum(run.waits_s),
    )


class PagedCache:
    """The least that a paged cache has to do for a kernel that knows no pages: its blocks lie
    anywhere in a pool, and are gathered for attention."""

    def __init__(self, layout: KvLayout) -> None:
        self.layout = layout
        pages = -(-layout.context_tokens // PAGE_TOKENS)
        shape = (layout.batch * pages, PAGE_TOKENS, layout.kv_heads, layout.head_dim)
        self.pools = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(layout.layers)]
        shuffle = torch.Generator().manual_seed(3)
        self.table = torch.randperm(layout.batch * pages, generator=shuffle).view(
            layout.batch, pages
        )

    def store(self, layer: int, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Token `at` of all requests, `[batch, kv_heads, 1, head_dim]`."""
        page = self.table[:, at // PAGE_TOKENS]
        for pool, new in zip(self.pools[layer], (keys, values), strict=True):
            pool[page, at % PAGE_TOKENS] = new[:, :, 0]

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """The first tokens of all, `[batch, whole pages of tokens, kv_heads, head_dim]`."""
        pages = self.table[:, : keys.shape[1] // PAGE_TOKENS]
        for pool, new in zip(self.pools[layer], (keys, values), strict=True):
            pool[pages] = new.unflatten(1, (-1, PAGE_TOKENS))

    def read(self, layer: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first tokens, `[batch, kv_heads, tokens, head_dim]`."""
        table = self.table[:, : -(-tokens // PAGE_TOKENS)]
        keys, values = (
            pool[table].flatten(1, 2)[:, :tokens].transpose(1, 2) for pool in self.pools[layer]
        )
        return keys, values


class _Contiguous:
    """vAttention's tensors, stored to and read as its cache does."""

    def __init__(self, tensors: KvTensors) -> None:
        self.layers = tensors.layers

    def store(self, layer: int, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        for stored, new in zip(self.layers[layer], (keys, values), strict=True):
            stored[:, at : at + 1] = new.transpose(1, 2)

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        for stored, new in zip(self.layers[layer], (keys, values), strict=True):
            stored[:, : new.shape[1]] = new

    def read(self, layer: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (stored[:, :tokens].transpose(1, 2) for stored in self.layers[layer])
        return keys, values


def attention_times(batch: int, tokens: int, rounds: int) -> list[Attention]:
    """SmolLM2's attention with a cache of either kind and of the same size, in turns, from
    `tokens` (whole pages) on."""
    layout = KvLayout(30, 3, 64, 4, tokens + rounds, batch, GROUP_BYTES)
    query = torch.randn(batch, 9, 1, 64)
    new = torch.randn(2, batch, 3, 1, 64)
    memory_bytes = (batch * layout.row_blocks * 51 // 50 + 1) * layout.block_bytes
    with torch.inference_mode(), init(layout, memory_bytes=memory_bytes, ahead=None) as kv:
        kv.step({kv.alloc_reqid(): layout.context_tokens for _ in range(batch)})
        caches = {
            "paged": PagedCache(layout),
            "vAttention": _Contiguous(KvTensors(kv, query.dtype)),
        }
        for layer in range(layout.layers):
            keys, values = torch.randn(2, batch, tokens, layout.kv_heads, layout.head_dim)
            for cache in caches.values():
                cache.fill(layer, keys, values)
        times: dict[str, list[float]] = {name: [] for name in caches}
        for at in range(tokens, tokens + rounds):
            outputs = []
            for name, cache in caches.items():
                begin = time.perf_counter()
                outputs.append(_attend(cache, layout, query, new, at))
                times[name].append(time.perf_counter() - begin)
            if not torch.equal(*outputs):
                raise AssertionError("the two caches do not give the same")
        del caches, cache
    return [
        Attention(name, batch, tokens, statistics.median(seconds))
        for name, seconds in times.items()
    ]


def _attend(
    cache: Any, layout: KvLayout, query: torch.Tensor, new: torch.Tensor, at: int
) -> torch.Tensor:
    """The last layer's output."""
    for layer in range(layout.layers):
        cache.store(layer, at, new[0], new[1])
        keys, values = cache.read(layer, at + 1)
        found = scaled_dot_product_attention(query, keys, values, enable_gqa=True)
    return found
