"""No place has two blocks, none is lost, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.kv.eviction import PolicyName, make_policy
from tiermem.serving.kv.places import Places

from tests.unit.serving.kv.tiers import key

COUNT = 4
STEP = st.tuples(st.sampled_from(["put", "use", "forget", "forget all"]), st.integers(0, 9))


@given(st.lists(STEP, max_size=80), st.sampled_from(["fifo", "lru", "arc", "cost"]))
def test_every_place_is_free_or_has_one_block(
    steps: list[tuple[str, int]], name: PolicyName
) -> None:
    places = Places(make_policy(name, COUNT), range(COUNT))
    there: dict[bytes, int] = {}
    for what, number in steps:
        block = key(number)
        if what == "put" and block not in there:
            place = places.free.pop() if places.free else places.evict(lambda _key: True)
            assert place is not None
            there = {other: at for other, at in there.items() if at != place} | {block: place}
            places.put(block, place, 1.0)
        elif what == "use":
            places.use(block)
        elif what == "forget":
            places.forget(block)
            there.pop(block, None)
        elif what == "forget all":
            places.forget_all()
            there.clear()
        assert {block: places.of(block) for block in there} == there
        assert len(places) == len(there)
        assert sorted([*places.free, *there.values()]) == list(range(COUNT))


def test_nobody_goes_who_may_not() -> None:
    places = Places(make_policy("lru", COUNT), [0])
    places.put(key(1), places.free.pop(), 1.0)
    assert places.evict(lambda _key: False) is None
    assert places.evict(lambda _key: True) == 0
    assert key(1) not in places
