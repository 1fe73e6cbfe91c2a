"""From a frame to who maps it, and back: a round trip over real processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tiermem.layer.pages import FrameIndex, find_owners, read_pagemap

from tests.unit.layer.memory import PAGE, anonymous, child

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="page frame numbers are for root")


def test_frames_of_two_processes_find_their_way_back() -> None:
    with child(pages=32) as (pid, theirs), anonymous(pages=32, touched=32) as ours:
        pids = {pid: theirs, os.getpid(): ours}
        frames = {p: read_pagemap(p, address, 32).pfns for p, address in pids.items()}
        wanted = np.concatenate(list(frames.values()))
        np.random.default_rng(1).shuffle(wanted)
        owners = find_owners(wanted, pids)
        assert len(owners) == 64
        assert (np.diff(owners.pfns.astype(np.int64)) > 0).all()
        for p, address in pids.items():
            mine = owners.of_pid(p)
            by_frame = dict(zip(mine.pfns.tolist(), mine.addresses.tolist(), strict=True))
            assert [by_frame[pfn] for pfn in frames[p].tolist()] == [
                address + i * PAGE for i in range(32)
            ]


def test_an_index_answers_like_a_search() -> None:
    with child(pages=16) as (pid, address):
        frames = read_pagemap(pid, address, 16).pfns
        index = FrameIndex([pid])
        found, searched = index.find(frames), find_owners(frames, [pid])
        assert found.addresses.tolist() == searched.addresses.tolist()
        assert found.pids.tolist() == [pid] * 16
        assert len(index.find(np.array([0, 1 << 50], dtype=np.uint64))) == 0


def test_a_shared_frame_has_a_row_for_each_who_maps_it() -> None:
    with child(pages=1) as (first, _), child(pages=1) as (second, _):
        libc = next(
            line for line in Path(f"/proc/{first}/maps").read_text().splitlines() if "libc" in line
        )
        start = int(libc.split("-")[0], 16)
        frame = read_pagemap(first, start, 1).pfns
        owners = find_owners(frame, [first, second])
        assert sorted(set(owners.pids.tolist())) == sorted([first, second])
        assert set(owners.pfns.tolist()) == set(frame.tolist())
        assert len(owners.first_of_each()) == 1


def test_pages_that_have_gone_are_no_longer_true() -> None:
    with anonymous(pages=8, touched=8) as address:
        owners = find_owners(read_pagemap(os.getpid(), address, 8).pfns, [os.getpid()])
        assert len(owners.still_true()) == 8
    assert len(owners.still_true()) == 0


def test_processes_that_have_ended_are_left_out() -> None:
    with child(pages=4) as (pid, address):
        frames = read_pagemap(pid, address, 4).pfns
        owners = find_owners(frames, [pid])
        assert len(owners) == 4
    assert len(find_owners(frames, [pid])) == 0
    assert len(FrameIndex([pid])) == 0
    assert len(owners.still_true()) == 0


def test_no_frames_and_no_processes() -> None:
    nothing = np.empty(0, dtype=np.uint64)
    assert len(find_owners(nothing, [os.getpid()])) == 0
    assert len(find_owners(np.array([5], dtype=np.uint64), [])) == 0
    assert len(FrameIndex([]).find(np.array([5], dtype=np.uint64))) == 0
