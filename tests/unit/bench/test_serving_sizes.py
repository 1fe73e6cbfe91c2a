"""How large everything is, on fast and on slow processors."""

from __future__ import annotations

from bench.serving_sizes import SIZES


def test_sizes_differ_by_one_factor_only() -> None:
    """In tokens: what overflows on one machine overflows on the other."""
    fast, slow = SIZES["bfloat16"], SIZES["float32"]
    factor = fast.scale.context_tokens / slow.scale.context_tokens
    assert fast.scale.tokens / slow.scale.tokens == factor
    for one, other in ((fast.overflowing, slow.overflowing), (fast.fitting, slow.fitting)):
        for name in ("kv_tokens", "dram_tokens", "cxl_tokens", "ssd_tokens", "step_tokens"):
            assert getattr(one, name) / getattr(other, name) == factor
