"""The table of MAC addresses is a dict, of 1024 entries at most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._net import ffi, lib

# Few, so that the same come again, and all over the place, so that some collide.
ADDRESSES = st.one_of(
    st.integers(0, 40), st.integers(0, 40).map(lambda n: n << 40), st.integers(0, 2**48 - 1)
)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "find"]), ADDRESSES), max_size=200)


def add(table: object, mac: int, number: int) -> bool:
    owner = ffi.new("struct net_owner *", (mac, number, number + 1))
    return bool(lib.net_macs_add(table, owner[0]) == 0)


def found(table: object, mac: int) -> tuple[int, int] | None:
    owner = lib.net_macs_find(table, mac)
    return None if owner == ffi.NULL else (owner.link, owner.instance)


@given(STEPS)
def test_is_a_dict(steps: list[tuple[str, int]]) -> None:
    table, model = ffi.new("struct net_macs *"), dict[int, tuple[int, int]]()
    for number, (step, mac) in enumerate(steps):
        if step == "add":
            is_new = mac != 0 and mac not in model
            assert add(table, mac, number) == is_new
            if is_new:
                model[mac] = (number, number + 1)
        elif step == "remove":
            assert (lib.net_macs_remove(table, mac) == 0) == (model.pop(mac, None) is not None)
        else:
            assert found(table, mac) == model.get(mac)
    assert table.count == len(model)
    assert {mac: found(table, mac) for mac in model} == model


def test_ends_of_the_table_join() -> None:
    """Addresses that all belong in the last slots, pushed into the first ones."""
    table = ffi.new("struct net_macs *")
    last = [mac for mac in range(1, 400_000) if home(mac) >= lib.NET_MACS_SLOTS - 2][:12]
    for number, mac in enumerate(last):
        assert add(table, mac, number)
    for gone, mac in enumerate(last):
        assert lib.net_macs_remove(table, mac) == 0
        assert [found(table, other) is not None for other in last[gone + 1 :]] == [True] * (
            len(last) - gone - 1
        )


def home(mac: int) -> int:
    return (mac * 0x9E3779B97F4A7C15 % 2**64 >> 32) % lib.NET_MACS_SLOTS


def test_full_is_full() -> None:
    table = ffi.new("struct net_macs *")
    for mac in range(1, lib.NET_MACS_MAX + 1):
        assert add(table, mac, 0)
    assert not add(table, lib.NET_MACS_MAX + 1, 0)
    assert lib.net_macs_remove(table, 7) == 0
    assert add(table, lib.NET_MACS_MAX + 1, 0)
