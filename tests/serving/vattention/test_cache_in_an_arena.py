"""A model's KV in an arena: the layer's memory of a chosen tier, under vAttention's addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tiermem.layer.arena import create_arena  # noqa: E402
from tiermem.serving.vattention import init  # noqa: E402
from tiermem.serving.vattention.cache import VirtualCache  # noqa: E402
from tiermem.serving.vattention.sources import ArenaPages  # noqa: E402
from tiermem.serving.vattention.tensors import KvTensors, layout_of  # noqa: E402
from transformers import AutoModelForCausalLM, DynamicCache  # noqa: E402

from bench.smollm2 import model_folder  # noqa: E402

GROUP = 64 << 10
STEPS = 12


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def test_logits_are_those_of_a_contiguous_cache(tmp_path: Path) -> None:
    """Its pages move under the tensors and back; then torch reads the same memory as a buffer."""
    model = AutoModelForCausalLM.from_pretrained(model_folder("float32"), dtype=torch.float32)
    prompt = torch.arange(1000, 1090)[None]
    expected = logits_of(model, prompt, DynamicCache(config=model.config))
    layout = layout_of(model.config, model.dtype, context_tokens=512, batch=2, group_bytes=GROUP)
    with create_arena("kv", 8 * layout.block_bytes, run_dir=tmp_path / "run") as arena:
        buffer = arena.allocate(8 * layout.block_bytes, 4096)
        with init(layout, source=ArenaPages(buffer)) as kv:
            cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid()])
            seen = logits_of(model, prompt, cache)
            assert all(map(torch.equal, seen, expected))
            assert kv.usage.mapped_blocks >= kv.layout.blocks_of(cache.tokens[0]) > 1
            cache.end()
            del cache
        tensor = buffer.torch(torch.float32, (buffer.bytes // 4,))
        assert tensor.data_ptr() == buffer.address
        assert tensor.count_nonzero() > 0, "the KV is in the arena's own pages"
        del tensor
        buffer.close()


def logits_of(model: Any, prompt: Any, cache: Any) -> list[Any]:
    """Of a prefill, then of greedy steps."""
    seen = [model(prompt, past_key_values=cache).logits]
    for _ in range(STEPS):
        token = seen[-1][:, -1:].argmax(-1)
        seen.append(model(token, past_key_values=cache).logits)
    return seen
