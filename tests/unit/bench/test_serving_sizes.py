"""How large everything is, on fast and on slow processors."""

from __future__ import annotations

from typing import Any

import pytest

from bench.serving_sizes import SIZES


@pytest.mark.parametrize("other", [("bfloat16", True), ("float32", False), ("float32", True)])
def test_sizes_differ_by_one_factor_only(other: tuple[Any, bool]) -> None:
    """In tokens: what overflows on one machine overflows on the other."""
    fast, slow = SIZES["bfloat16", False], SIZES[other]
    factor = fast.scale.context_tokens / slow.scale.context_tokens
    assert fast.scale.tokens / slow.scale.tokens == factor
    for one, less in ((fast.overflowing, slow.overflowing), (fast.fitting, slow.fitting)):
        for name in ("kv_tokens", "dram_tokens", "cxl_tokens", "ssd_tokens", "step_tokens"):
            assert getattr(one, name) / getattr(less, name) == factor
