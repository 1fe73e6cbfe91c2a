"""The memory of a link: how much it is, where it may lie, and when it is another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiermem.errors import MissingError, NoSpaceError, TiermemError
from tiermem.layer.pool import create_pool, open_pool
from tiermem.native._net import lib
from tiermem.oasis.net import Frontend, LinkSize, make_link

from tests.unit.oasis.net.world import SIZE, FileMemory, World, ping

PAGE = 4096
RING_MIN = int(lib.NET_RING_BYTES_MIN)


@given(
    st.integers(3, 20).map(lambda bits: 1 << bits),
    st.integers(RING_MIN // PAGE, 1 << 18),
    st.integers(RING_MIN // PAGE, 1 << 18),
)
def test_all_parts_have_room(slots: int, tx_pages: int, rx_pages: int) -> None:
    size = LinkSize(slots=slots, tx_bytes=tx_pages * PAGE, rx_bytes=rx_pages * PAGE)
    channel = -(-(PAGE + slots * 16) // PAGE) * PAGE
    assert size.bytes == PAGE + 2 * channel + size.tx_bytes + size.rx_bytes


@pytest.mark.parametrize("size", [LinkSize(slots=1000), LinkSize(rx_bytes=RING_MIN + 64)])
def test_sizes_that_cannot_be_are_named(size: LinkSize) -> None:
    with pytest.raises(TiermemError, match="slots must be a power of two"):
        assert size.bytes


@pytest.mark.parametrize("ring_bytes", [-PAGE, RING_MIN - PAGE, (1 << 30) + PAGE])
def test_rings_have_limits(ring_bytes: int) -> None:
    with pytest.raises(ValidationError):
        LinkSize(rx_bytes=ring_bytes)


def test_too_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.write_bytes(bytes(SIZE.bytes - PAGE))
    with pytest.raises(NoSpaceError, match=f"takes {SIZE.bytes} bytes"):
        make_link(FileMemory(path), SIZE, 1)


def test_another_generation_is_another_link(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.write_bytes(bytes(SIZE.bytes))
    memory = FileMemory(path)
    make_link(memory, SIZE, 1)
    make_link(memory, SIZE, 2)
    with pytest.raises(MissingError, match="no link of generation 1"):
        Frontend(memory, 1)
    Frontend(memory, 2).close()


def test_in_an_area_of_the_pool(world: World, tmp_path: Path) -> None:
    path = tmp_path / "pool"
    create_pool(path, hosts=2, entries=8, size=32 << 20)
    pools = [
        world.under.enter_context(open_pool(path, host, run_dir=tmp_path / f"run{host}"))
        for host in (0, 1)
    ]
    there = world.under.enter_context(pools[1].create_area("link", SIZE.bytes))
    here = world.under.enter_context(pools[0].open_area("link"))
    make_link(there, SIZE, there.generation)
    instance = world.instance(world.host_over(here, there, here.generation))
    ping(instance.namespace, world.outside_address)
