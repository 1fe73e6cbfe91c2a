"""Keys: what changes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.kv.keys import KeyChain, identity_of

TOKENS = st.lists(st.integers(0, 2**31), max_size=40)


def keys_of(tokens: list[int], facts: object = "a", block: int = 4, salt: str = "") -> list[bytes]:
    return list(KeyChain(identity_of({"model": facts}), block, salt).extend(tokens))


@given(TOKENS, TOKENS, st.integers(0, 20))
def test_as_many_keys_agree_as_whole_blocks_of_the_prefix(
    one: list[int], other: list[int], shared: int
) -> None:
    other = one[:shared] + other
    alike = 0
    while alike < min(len(one), len(other)) and one[alike] == other[alike]:
        alike += 1
    a, b = keys_of(one), keys_of(other)
    assert len(a) == len(one) // 4
    assert [x == y for x, y in zip(a, b, strict=False)] == [
        number < alike // 4 for number in range(min(len(a), len(b)))
    ]


@given(TOKENS, st.lists(st.integers(0, 40), max_size=5))
def test_tokens_may_come_bit_by_bit(tokens: list[int], cuts: list[int]) -> None:
    chain = KeyChain(identity_of({"model": "a"}), 4)
    for cut in sorted(cuts):
        chain.extend(tokens[:cut])
    assert chain.extend(tokens) == keys_of(tokens)


def test_engines_and_salts_share_nothing() -> None:
    tokens = list(range(8))
    keys = [
        keys_of(tokens),
        keys_of(tokens, facts="b"),
        keys_of(tokens, facts=["a"]),
        keys_of(tokens, salt="x"),
        keys_of(tokens, salt="y"),
    ]
    assert len({key for some in keys for key in some}) == 2 * len(keys)
