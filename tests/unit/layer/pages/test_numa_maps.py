"""numa_maps as kernels write it, and of this process against what it holds."""

from __future__ import annotations

import os

import pytest
from tiermem.errors import ProcessGoneError
from tiermem.layer.pages import bytes_by_node, read_numa_maps
from tiermem.layer.pages.numa_maps import parse_numa_map

from tests.unit.layer.memory import PAGE, anonymous


def test_a_mapping_on_two_nodes() -> None:
    line = "7f0000000000 bind:0-1 anon=300 dirty=280 active=0 N0=100 N1=200 kernelpagesize_kB=4"
    mapping = parse_numa_map(line)
    assert (mapping.start, mapping.policy) == (0x7F0000000000, "bind:0-1")
    assert (mapping.anon_pages, mapping.dirty_pages) == (300, 280)
    assert mapping.bytes_by_node == {0: 409600, 1: 819200}


def test_huge_pages_count_by_their_own_size() -> None:
    file = "/anon_hugepage\\040(deleted)"
    line = f"7f0000000000 default file={file} huge anon=3 N1=3 kernelpagesize_kB=2048"
    mapping = parse_numa_map(line)
    assert mapping.file == "/anon_hugepage (deleted)"
    assert mapping.bytes_by_node == {1: 3 << 21}


def test_a_policy_with_a_space_and_marks_without_values() -> None:
    mapping = parse_numa_map("7f00 prefer (many):0-1 stack anon=1 N0=1 kernelpagesize_kB=4")
    assert mapping.policy == "prefer (many):0-1"
    assert mapping.pages_by_node == {0: 1}


def test_a_mapping_without_pages() -> None:
    assert parse_numa_map("7f00 default file=/lib/x.so").bytes_by_node == {}


def test_this_process_memory_shows_up_where_it_is() -> None:
    read_numa_maps(os.getpid())  # what reading itself needs is there from now on
    before = sum(bytes_by_node(os.getpid()).values())
    with anonymous(pages=10_000, touched=7_000):
        during = sum(bytes_by_node(os.getpid()).values())
    assert 6_000 * PAGE <= during - before <= 8_000 * PAGE
    assert all(mapping.page_bytes >= PAGE for mapping in read_numa_maps(os.getpid()))


def test_a_process_that_is_not_there() -> None:
    with pytest.raises(ProcessGoneError):
        read_numa_maps(2**22 + 1)
