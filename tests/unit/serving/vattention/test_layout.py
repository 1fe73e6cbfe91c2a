"""Which bytes of a reservation are whose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import ConfigError
from tiermem.serving.vattention.layout import PAGE_GROUPS_BYTES, KvLayout

LAYOUTS = st.builds(
    KvLayout,
    layers=st.integers(1, 4),
    kv_heads=st.integers(1, 4),
    head_dim=st.sampled_from((64, 80, 128)),
    item_bytes=st.sampled_from((1, 2, 4)),
    context_tokens=st.integers(1, 3000),
    batch=st.integers(1, 3),
    group_bytes=st.sampled_from(PAGE_GROUPS_BYTES),
    layers_together=st.booleans(),
)


@given(LAYOUTS)
def test_no_two_rows_share_a_page_group_and_all_lie_within(layout: KvLayout) -> None:
    taken: set[int] = set()
    for req_id in range(layout.batch):
        for run in layout.runs(req_id, 0, layout.row_blocks):
            assert run.offset % layout.group_bytes == 0 == run.bytes % layout.group_bytes
            groups = set(range(run.offset, run.offset + run.bytes, layout.group_bytes))
            assert len(groups) == layout.row_blocks
            assert not groups & taken
            taken |= groups
    assert max(taken) + layout.group_bytes == layout.reserved_bytes


@given(LAYOUTS, st.data())
def test_blocks_hold_the_tokens_that_need_them(layout: KvLayout, data: st.DataObject) -> None:
    tokens = data.draw(st.integers(0, layout.context_tokens))
    blocks = layout.blocks_of(tokens)
    assert layout.tokens_in(blocks) >= tokens
    if blocks:
        assert layout.tokens_in(blocks - 1) < tokens
    assert 0 <= layout.waste_bytes(tokens) < layout.block_bytes


def test_a_block_is_a_group_of_every_tensor_where_the_request_has_its_row() -> None:
    layout = KvLayout(2, 4, 64, 2, context_tokens=300, batch=3, group_bytes=64 << 10)
    assert layout.token_bytes == 512
    assert (layout.tensors, layout.row_blocks) == (4, 3)
    group = 64 << 10
    offsets = [run.offset // group for run in layout.runs(1, 2, 1)]
    assert offsets == [5, 14, 23, 32]


def test_with_the_layers_together_a_group_holds_fewer_tokens() -> None:
    apart = KvLayout(8, 4, 64, 2, 1000, 1, 64 << 10)
    together = KvLayout(8, 4, 64, 2, 1000, 1, 64 << 10, layers_together=True)
    assert (apart.tensors, together.tensors) == (16, 2)
    assert (apart.tokens_in(1), together.tokens_in(1)) == (128, 16)
    assert together.waste_bytes(17) < apart.waste_bytes(17)


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match=r"group_bytes = 4096: must be one of 65536, 131072, "):
        KvLayout(1, 1, 64, 4, 10, 1, 4096)
    with pytest.raises(ConfigError, match="head_dim = 0: must be at least 1"):
        KvLayout(1, 1, 0, 4, 10, 1)
    with pytest.raises(ConfigError, match="item_bytes = 3: must divide a page group"):
        KvLayout(1, 1, 64, 3, 10, 1)
