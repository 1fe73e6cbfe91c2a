"""How much memory an input of the longest length takes, and what is left for cached KV.

Three parts, beside the weights. The **workspace** holds what is as long as the input: hidden
states, queries (attention writes its output over them), and one layer's keys and values; and
the cosines and sines of all positions. **Passing** memory is what torch takes and gives back
while it computes: for a chunk of tokens, or for attention, whichever is more. The rest is the
**prefix cache**, in whole blocks.

`start` measures the sum of the first two before the first request.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.errors import ConfigError
from tiermem.service.size import size_text
from tiermem.serving.prefill_only.dimensions import Dimensions

CHUNK_TOKENS = 512
BLOCK_TOKENS = 32
# Kernels for fewer rows than this may sum up in another order, and give other bits: so many
# tokens at least are computed of an input, and in a chunk.
TOKENS_MIN = 32
# Inputs that are computed together, at most: each has logits of its own.
TOGETHER_MAX = 8
# Queries that attention is given at a time where it cannot be all of them.
ATTENTION_ROWS = 512
FLOAT_BYTES = 4
# Of torch's attention on CPUs: queries and keys of a tile, and tiles a thread.
_TILE_QUERIES, _TILE_KEYS = 256, 512
# What the C library keeps in pieces that do not fit what is asked for next.
_ALLOCATOR_SHARE = 0.25


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
    model: Dimensions, max_input_tokens: int, chunk_tokens: int, threads: int, together: int = 1
) -> int:
    """The most that torch has allocated at a moment of a run of so many inputs."""
    chunk = min(chunk_tokens + TOKENS_MIN, max_input_tokens)
    most = max(_chunk_bytes(model, chunk), _attention_bytes(model, max_input_tokens, threads))
    logits = together * model.vocab * (model.item_bytes + 2 * FLOAT_BYTES)
    # Matrix products may arrange the weights anew.
    packed = model.hidden * max(model.intermediate, model.query_width) * model.item_bytes
    return int((1 + _ALLOCATOR_SHARE) * (most + logits + packed))


def _chunk_bytes(model: Dimensions, tokens: int) -> int:
    """Norms compute in fp32; of the MLP three intermediate tensors are alive at once; of the
    rotation, queries and keys as they were, turned by half, and two products."""
    norm = model.hidden * (3 * FLOAT_BYTES + 2 * model.item_bytes)
    mlp = (3 * model.intermediate + 2 * model.hidden) * model.item_bytes
    rotation = (4 * (model.query_width + model.kv_width) + model.hidden) * model.item_bytes
    return tokens * (norm + max(mlp, rotation))


def _attention_bytes(model: Dimensions, tokens: int, threads: int) -> int:
    """Of torch's kernel, which takes more than vLLM's: one group's output with its logarithms
    of sums, keys and values as it packs them, the mask behind a cached prefix, and each
    thread's tiles."""
    output = tokens * (model.kv_width * model.item_bytes + model.kv_heads * FLOAT_BYTES)
    packed = 2 * tokens * model.kv_width * model.item_bytes
    mask = min(ATTENTION_ROWS, tokens) * tokens * model.item_bytes
    tile = _TILE_QUERIES * (2 * _TILE_KEYS + 2 * model.head_dim) * FLOAT_BYTES
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
    measured_bytes: int = 0,
) -> Budget:
    """together: inputs in a run, at most. measured_bytes: what the longest input took, where
    that is known to be more than what is computed. ConfigError where the input alone does not
    fit, or is longer than the context."""
    if not 1 <= max_input_tokens <= model.context_tokens:
        raise ConfigError(
            f"an input of {max_input_tokens} tokens: the model allows 1 to {model.context_tokens}"
        )
    held = workspace_bytes(model, max_input_tokens)
    passing = passing_bytes(model, max_input_tokens, chunk_tokens, threads, together)
    passing = max(passing, measured_bytes - held)
    rest = memory_bytes - held - passing
    if rest < 0:
        raise ConfigError(
            f"{size_text(memory_bytes)} of memory: an input of {max_input_tokens} tokens needs "
            f"{held + passing} bytes ({size_text(held + passing)}) beside the weights; allow "
            "more memory, or shorter inputs"
        )
    block = block_bytes(model)
    return Budget(
        memory_bytes, max_input_tokens, model.layers, held, passing, block, rest // block, together
    )
