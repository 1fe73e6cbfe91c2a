"""Hot pages of an arena: by the frames that a tracker names, M5's daemon for one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tiermem.layer.arena import Arena, HotFrames
from tiermem.layer.pages import read_pagemap
from tiermem.layer.sysfs import Tree
from tiermem.m5.daemon import Daemon
from tiermem.m5.hot_frames import read_hot_frames
from tiermem.m5.observation import Verdict
from tiermem.m5.rounds import Rounds
from tiermem.m5.routes import add_routes
from tiermem.service.api import LocalApi
from tiermem.service.metrics import Metrics

from tests.unit.layer.arena.conftest import MIB, Maker
from tests.unit.m5.made_rounds import READS_PER_S, a_round

PAGE = 4096
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="page frame numbers are root's to see")


@contextmanager
def daemon(socket: Path, frames: list[int]) -> Iterator[None]:
    """M5's real API on a socket, after a round in which it held these frames for hot."""
    rounds = Rounds()
    rounds.add(a_round(1, dict.fromkeys(frames, Verdict.NO_PROFIT)))
    made = SimpleNamespace(tree=Tree(), engine=SimpleNamespace(rounds=rounds))
    api = LocalApi(socket, Metrics("m5"))
    add_routes(api, cast(Daemon, made))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(api.start(), loop).result(10)
        yield
        asyncio.run_coroutine_threadsafe(api.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def frames_of(arena: Arena) -> Any:
    return read_pagemap(os.getpid(), arena.address, arena.bytes // PAGE).pfns


@needs_root
def test_m5s_frames_are_found_among_the_arenas_pages(make: Maker, tmp_path: Path) -> None:
    arena = make(4 * MIB)
    pfns = frames_of(arena)
    elsewhere = int(pfns.max()) + 1
    with daemon(tmp_path / "run/m5.sock", [int(pfns[900]), elsewhere, int(pfns[3])]):
        hot = arena.hot_pages(lambda: read_hot_frames(tmp_path / "run/m5.sock"))
    assert hot is not None
    assert hot.offsets.tolist() == [3 * PAGE, 900 * PAGE]
    assert hot.reads_per_s.tolist() == [READS_PER_S, READS_PER_S]
    assert hot.bytes == 2 * PAGE


@needs_root
def test_rates_go_with_their_pages(make: Maker) -> None:
    arena = make(MIB)
    pfns = frames_of(arena)[[200, 7]]
    hot = arena.hot_pages(lambda: HotFrames(pfns, np.array([5.0, 9.0])))
    assert hot is not None
    assert hot.offsets.tolist() == [7 * PAGE, 200 * PAGE]
    assert hot.reads_per_s.tolist() == [9.0, 5.0]


@pytest.mark.parametrize("pfns", [[], [1 << 50, 0]])
def test_frames_of_others_are_not_its_own(make: Maker, pfns: list[int]) -> None:
    if os.geteuid() and pfns:
        pytest.skip("page frame numbers are root's to see")
    found = HotFrames(np.array(pfns, dtype=np.uint64), np.ones(len(pfns)))
    hot = make(MIB).hot_pages(lambda: found)
    assert hot is not None
    assert hot.bytes == len(hot.reads_per_s) == 0


def test_without_a_daemon_nothing_is_said(make: Maker, tmp_path: Path) -> None:
    ask: Callable[[], HotFrames | None] = lambda: read_hot_frames(tmp_path / "m5.sock")  # noqa: E731
    assert make(MIB).hot_pages(ask) is None
