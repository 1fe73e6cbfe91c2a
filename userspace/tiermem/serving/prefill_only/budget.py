"""How much memory an input of the longest length takes, and what is left for cached KV.

Three parts, beside the weights. The **workspace** holds what is as long as the input: hidden
states, queries (attention writes its output over them), and one layer's keys and values; and
the cosines and sines of all positions. **Passing** memory is for a chunk of tokens, for attention
and for logits, by kernels that differ in that: with packed weights a chunk's is held as well, else
chunks and attention take and give back in turns. The rest is the **prefix cache**, in whole
blocks.

`start` measures the sum of the first two before the first request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tiermem.errors import ConfigError
from tiermem.service.size import size_text
from tiermem.serving.prefill_only.dimensions import Dimensions

AttentionKind = Literal["native", "vllm", "torch"]

CHUNK_TOKENS = 512
BLOCK_TOKENS = 32
# Kernels for fewer rows than this may sum up in another order, and give other bits: so many
# tokens at least are computed of an input, and in a chunk.
TOKENS_MIN = 32
# Inputs that are computed together, at most: each has logits of its own, for which there is so
# much of the memory.
TOGETHER_MAX = 8
_TOGETHER_SHARE = 1 / 16
# Queries that attention is given at a time where it cannot be all of them.
ATTENTION_ROWS = 512
FLOAT_BYTES = 4
# Of torch's attention on CPUs: queries and keys of a tile, and tiles a thread.
_TILE_QUERIES, _TILE_KEYS = 256, 512
# Of each token of an input, its number and its places in tables, as integers.
_LISTED_BYTES = 5 * 8
# Of this project's attention: a tile, and what is on the stack besides, of a thread.
_NATIVE_THREAD_BYTES = 512 << 10
# What the C library keeps in pieces that do not fit what is asked for next.
_ALLOCATOR_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Kernels:
    """Whose passing memory it is. is_packed: what is not attention is vLLM's, over packed weights;
    else transformers'. Unless said, those that take the most."""

    attention: AttentionKind = "torch"
    is_packed: bool = False


MOST = Kernels()


@dataclass(frozen=True, slots=True)
class Budget:
    """What `memory_bytes` is divided into; all in bytes but for the counts."""

    memory_bytes: int
    max_input_tokens: int
    layers: int
    workspace_bytes: int
    passing_bytes: int
    block_bytes: int
    cache_blocks: int
    together: int

    @property
    def cache_bytes(self) -> int:
        """All blocks."""
        return self.cache_blocks * self.block_bytes

    @property
    def kv_bytes(self) -> int:
        """All blocks, and those of one layer for the run under way."""
        layer = whole_blocks(self.max_input_tokens) * self.block_bytes // self.layers
        return self.cache_bytes + layer

    @property
    def input_bytes(self) -> int:
        """What the longest input takes."""
        return self.workspace_bytes + self.passing_bytes


def workspace_bytes(model: Dimensions, max_input_tokens: int) -> int:
    """What is held from the start to the end, to the byte."""
    return states_bytes(model, max_input_tokens) + layer_bytes(model, max_input_tokens)


def states_bytes(model: Dimensions, max_input_tokens: int) -> int:
    """Of it, all but keys and values."""
    widths = model.hidden + model.query_width + 2 * model.head_dim
    return whole_blocks(max_input_tokens) * BLOCK_TOKENS * widths * model.item_bytes


def layer_bytes(model: Dimensions, max_input_tokens: int) -> int:
    """Of it, one layer's keys and values."""
    return whole_blocks(max_input_tokens) * block_bytes(model) // model.layers


def whole_blocks(tokens: int) -> int:
    """How many blocks hold so many tokens."""
    return -(-tokens // BLOCK_TOKENS)


def passing_bytes(
    model: Dimensions,
    max_input_tokens: int,
    chunk_tokens: int,
    threads: int,
    kernels: Kernels = MOST,
) -> int:
    """The most that is allocated at a moment of a run of one input."""
    chunk = _chunk_bytes(model, min(chunk_tokens + TOKENS_MIN, max_input_tokens), kernels)
    attention = _attention_bytes(model, max_input_tokens, threads, kernels)
    most = chunk + attention if kernels.is_packed else max(chunk, attention)
    listed = max_input_tokens * _LISTED_BYTES
    return int((1 + _ALLOCATOR_SHARE) * (most + listed + _logits_bytes(model)))


def _logits_bytes(model: Dimensions) -> int:
    """Of one input, as they are computed and in fp32, for the client too."""
    return model.vocab * (model.item_bytes + 2 * FLOAT_BYTES)


def _chunk_bytes(model: Dimensions, tokens: int, kernels: Kernels) -> int:
    """Packed: the MLP's three intermediate tensors or the projections, and its input. Else: of the
    MLP three tensors are alive at once; of transformers' rotation, queries and keys as they were,
    turned by half, and two products. Its norms compute in fp32, and its matrix products may arrange
    the weights anew."""
    mlp = (3 * model.intermediate + 2 * model.hidden) * model.item_bytes
    if kernels.is_packed:
        wide = max(2 * model.intermediate, model.query_width + 2 * model.kv_width)
        return tokens * (wide + model.intermediate + 2 * model.hidden) * model.item_bytes
    norm = model.hidden * (3 * FLOAT_BYTES + 2 * model.item_bytes)
    rotation = (4 * (model.query_width + model.kv_width) + model.hidden) * model.item_bytes
    arranged = model.hidden * max(model.intermediate, model.query_width) * model.item_bytes
    return tokens * (norm + max(mlp, rotation)) + arranged


def _attention_bytes(model: Dimensions, tokens: int, threads: int, kernels: Kernels) -> int:
    """Of vLLM's kernel, the output of the queries that it is given at a time. Of torch's, one
    group's output with its logarithms of sums, keys and values as it packs them, the mask behind a
    cached prefix, and each thread's tiles."""
    rows = min(ATTENTION_ROWS, tokens)
    tile = _TILE_QUERIES * (2 * _TILE_KEYS + 2 * model.head_dim) * FLOAT_BYTES
    if kernels.attention == "native":
        return threads * _NATIVE_THREAD_BYTES
    if kernels.attention == "vllm":
        return rows * model.query_width * model.item_bytes + threads * tile
    output = tokens * (model.kv_width * model.item_bytes + model.kv_heads * FLOAT_BYTES)
    packed = 2 * tokens * model.kv_width * model.item_bytes
    mask = rows * tokens * model.item_bytes
    return output + packed + mask + threads * tile


def block_bytes(model: Dimensions) -> int:
    """A block of the prefix cache: its tokens' keys and values in all layers."""
    return BLOCK_TOKENS * model.kv_token_bytes


def divide(
    model: Dimensions,
    memory_bytes: int,
    max_input_tokens: int,
    *,
    chunk_tokens: int = CHUNK_TOKENS,
    threads: int = 1,
    together: int = 1,
    kernels: Kernels = MOST,
    measured_bytes: int = 0,
) -> Budget:
    """together: inputs in a run, at most; fewer where their logits would take more than a sixteenth
    of the memory. measured_bytes: what the longest input took by itself, where that is known to be
    more than what is computed. ConfigError where the input alone does not
    fit, or is longer than the context."""
    if not 1 <= max_input_tokens <= model.context_tokens:
        raise ConfigError(
            f"an input of {max_input_tokens} tokens: the model allows 1 to {model.context_tokens}"
        )
    held = workspace_bytes(model, max_input_tokens)
    passing = passing_bytes(model, max_input_tokens, chunk_tokens, threads, kernels)
    passing = max(passing, measured_bytes - held)
    rest = memory_bytes - held - passing
    if rest < 0:
        raise ConfigError(
            f"{size_text(memory_bytes)} of memory: an input of {max_input_tokens} tokens needs "
            f"{held + passing} bytes ({size_text(held + passing)}) beside the weights; allow "
            "more memory, or shorter inputs"
        )
    another = int((1 + _ALLOCATOR_SHARE) * _logits_bytes(model))
    # Torch's attention takes one at a time.
    most = 0 if kernels.attention == "torch" else together - 1
    others = min(most, int(min(rest, memory_bytes * _TOGETHER_SHARE)) // another)
    passing, rest = passing + others * another, rest - others * another
    block = block_bytes(model)
    return Budget(
        memory_bytes,
        max_input_tokens,
        model.layers,
        held,
        passing,
        block,
        rest // block,
        1 + others,
    )
