"""Areas in which hosts meet: found by both, and removed once one of their lives is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiermem.layer.pool import Pool, create_pool, open_pool
from tiermem.oasis.allocator.pod import DeviceId, Kind
from tiermem.oasis.link_areas import (
    LinkName,
    drop_area,
    find_area,
    is_current,
    make_area,
    sweep,
)

BYTES = 4096
LIVES = {0: 10, 1: 20}


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[tuple[Pool, Pool]]:
    """As host 0, which has the device, and host 1 have it."""
    create_pool(tmp_path / "pool", hosts=2, entries=16, size=16 << 20)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(open_pool(tmp_path / "pool", host, run_dir=tmp_path / f"run{host}"))
            for host in (0, 1)
        )
        yield first, second


def link(life: int = LIVES[0], peer_life: int = LIVES[1], number: int = 0) -> LinkName:
    return LinkName(Kind.NIC, DeviceId(0, number), 1, life, peer_life)


def names(pool: Pool) -> set[str]:
    return {entry.name for entry in pool.entries()}


def test_one_host_makes_it_and_the_other_finds_it(pools: tuple[Pool, Pool]) -> None:
    owner, peer = pools
    assert find_area(peer, link()) is None
    made = make_area(owner, link(), BYTES)
    found = find_area(peer, link())
    assert found is not None
    assert found.generation == made.generation
    assert is_current(peer, found)
    drop_area(owner, made)
    assert not is_current(peer, found)
    found.close()
    assert names(peer) == set()


def test_another_one_in_its_place_is_another(pools: tuple[Pool, Pool]) -> None:
    owner, peer = pools
    first = make_area(owner, link(), BYTES)
    found = find_area(peer, link())
    assert found is not None
    second = make_area(owner, link(), BYTES)
    assert not is_current(peer, found)
    # What it was replaced by is not dropped with it.
    drop_area(owner, first)
    assert is_current(owner, second)
    found.close()
    second.close()


def test_what_lives_that_are_over_left_is_removed_and_nothing_else(
    pools: tuple[Pool, Pool],
) -> None:
    owner, peer = pools
    now = link()
    newer = link(life=LIVES[0] + 1, number=1)
    for one in (now, newer, link(life=9), link(peer_life=19)):
        make_area(owner, one, BYTES).close()
    owner.create_area("somebody's", BYTES).close()
    sweep(peer, 1, LIVES[1], LIVES)
    owner.collect()
    assert names(owner) == {str(now), str(newer), "somebody's"}
    # Its own life is known to a host for sure, whatever it has read of itself.
    sweep(owner, 0, LIVES[0] + 1, {})
    assert names(owner) == {str(newer), "somebody's"}


def test_a_link_of_one_instance_says_so_in_its_name() -> None:
    one = LinkName(Kind.SSD, DeviceId(3, 100), 2, 0xAB, 0xCD, instance=7)
    assert str(one) == "oasis/ssd/3.100/2.7/ab-cd"
    assert LinkName.parse(str(one)) == one
    assert LinkName.parse(str(link())) == link()
