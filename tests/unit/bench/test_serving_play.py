"""How `bench.serving` plays a load, without an engine."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from bench.serving_engine import BLOCK_TOKENS
from bench.serving_play import evicted_before


def left_in_cache(histories: list[int], blocks: int) -> set[int]:
    """Histories of which something is there after all have been computed."""
    cache: OrderedDict[tuple[int, int], None] = OrderedDict()
    for number, tokens in enumerate(histories):
        for block in range(tokens // BLOCK_TOKENS):
            cache[number, block] = None
            if len(cache) > blocks:
                cache.popitem(last=False)
    return {number for number, _ in cache}


@given(st.lists(st.integers(1, 500), max_size=20), st.integers(1, 40))
def test_histories_that_are_left_out_would_be_gone(histories: list[int], blocks: int) -> None:
    first = evicted_before(histories, blocks)
    assert left_in_cache(histories, blocks).isdisjoint(range(first))
    rest = histories[first:]
    assert {first + one for one in left_in_cache(rest, blocks)} == left_in_cache(histories, blocks)


def test_none_are_left_out_where_all_fit() -> None:
    assert evicted_before([], 8) == 0
    assert evicted_before([64, 64, 64], 6) == 0
    assert evicted_before([64, 64, 64], 4) == 1
    assert evicted_before([31, 64, 64], 4) == 1
