"""Flags and map counts of this process' own frames, and of numbers that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tiermem.layer.pages import (
    PageFlag,
    flag_names,
    read_cgroups,
    read_flags,
    read_map_counts,
    read_pagemap,
)
from tiermem.layer.pages.frames import NOT_A_FRAME

from tests.unit.layer.memory import anonymous

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="frames are for root")


@needs_root
def test_anonymous_memory_is_anonymous_and_mapped_once() -> None:
    with anonymous(pages=64, touched=64) as address:
        pfns = read_pagemap(os.getpid(), address, 64).pfns
        flags = read_flags(pfns)
        counts = read_map_counts(pfns)
    anon = PageFlag.ANON | PageFlag.MMAP | PageFlag.SWAPBACKED
    assert ((flags & np.uint64(anon)) == np.uint64(anon)).all()
    assert not (flags & np.uint64(PageFlag.BUDDY | PageFlag.HUGE)).any()
    assert counts.tolist() == [1] * 64


@needs_root
def test_answers_are_in_the_order_of_the_question() -> None:
    with anonymous(pages=32, touched=32) as address:
        pfns = read_pagemap(os.getpid(), address, 32).pfns
        shuffled = np.concatenate([pfns, pfns[:5], np.array([1 << 40], dtype=np.uint64)])
        np.random.default_rng(7).shuffle(shuffled)
        together = read_flags(shuffled)
        one_by_one = np.array([read_flags(np.array([pfn]))[0] for pfn in shuffled])
    # Reclaim may move a page between the LRU lists from one reading to the next.
    steady = np.uint64(PageFlag.ANON | PageFlag.MMAP | PageFlag.SWAPBACKED | PageFlag.NOPAGE)
    assert ((together & steady) == (one_by_one & steady)).all()


@needs_root
@pytest.mark.parametrize("pfn", [1 << 40, 1 << 52, 2**63, 2**64 - 1])
def test_a_number_beyond_memory_is_no_frame(pfn: int) -> None:
    assert read_flags(np.array([pfn], dtype=np.uint64))[0] == NOT_A_FRAME
    assert read_map_counts(np.array([pfn], dtype=np.uint64))[0] == 0


@needs_root
def test_no_frames_no_answers() -> None:
    assert len(read_flags(np.empty(0, dtype=np.uint64))) == 0


def test_flags_have_names() -> None:
    assert flag_names(PageFlag.ANON | PageFlag.THP) == ["anon", "thp"]
    assert flag_names(1 << 60) == []


@needs_root
def test_a_frame_is_charged_to_its_process_cgroup() -> None:
    """/proc/kpagecgroup has the inode of the cgroup's folder, in v1 and v2 alike."""
    folder = _own_memory_cgroup()
    if folder is None:
        pytest.skip("this kernel has no memory cgroups")
    with anonymous(pages=4, touched=4) as address:
        pfns = read_pagemap(os.getpid(), address, 4).pfns
        assert read_cgroups(pfns).tolist() == [folder.stat().st_ino] * 4


def _own_memory_cgroup() -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mount = Path("/sys/fs/cgroup")
        if controllers == "memory":
            return mount / "memory" / path.lstrip("/")
        if controllers == "" and (mount / "cgroup.controllers").exists():
            return mount / path.lstrip("/")
    return None
