"""How large everything is in `bench.serving`: sessions, and the memory that they overflow or fit.

Where the processor multiplies no bfloat16, engines compute in float32 and ten times as slowly:
there all lengths are an eighth, so that a context takes about as long to compute as elsewhere.
With QUICK those of the loads are half of that, but where they are short already.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.serving_configurations import Size
from bench.serving_sessions import Scale
from bench.smollm2 import DTypeName, fast_dtype


@dataclass(frozen=True)
class Sizes:
    """scale: of sessions. overflowing: their KV does not stay in engines; fitting: it does."""

    scale: Scale
    overflowing: Size
    fitting: Size


def sizes(*, is_quick: bool) -> Sizes:
    """For this machine's processor."""
    return SIZES[fast_dtype(), is_quick]


def _sizes(dtype: DTypeName, scale: Scale) -> Sizes:
    context = scale.context_tokens

    def size(contexts: int, in_cxl: int) -> Size:
        """DRAM for as much as engines hold, and SSD for more than is ever said."""
        kv = contexts * context
        ssd = 64 * context
        return Size(dtype, context, kv, kv, in_cxl * context, ssd, step_tokens=context // 4)

    # Four contexts: about what is left for KV where a model just fits into its accelerators.
    return Sizes(scale, overflowing=size(4, in_cxl=8), fitting=size(6, in_cxl=6))


_FULL = Scale(4096, tokens=1 / 4, turn_tokens_max=384, answer_tokens_max=64)
_HALF = Scale(2048, tokens=1 / 8, turn_tokens_max=192, answer_tokens_max=32)
_SHORT = Scale(512, tokens=1 / 32, turn_tokens_max=48, answer_tokens_max=16)
SIZES: dict[tuple[DTypeName, bool], Sizes] = {
    ("bfloat16", False): _sizes("bfloat16", _FULL),
    ("bfloat16", True): _sizes("bfloat16", _HALF),
    ("float32", False): _sizes("float32", _SHORT),
    ("float32", True): _sizes("float32", _SHORT),
}
"""By what is computed fastest, and whether it is QUICK."""
# In fp32, in which equal engines say equal things. Small, so that all of it is exercised.
COMPARED = Size("float32", 512, kv_tokens=576, dram_tokens=768, cxl_tokens=1152, ssd_tokens=1 << 17)
COMPARED_SCALE = Scale(512, tokens=0.1, turn_tokens_max=120, answer_tokens_max=16)
