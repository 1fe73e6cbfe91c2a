"""A round: what is decided is carried out, within limits, and learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiermem.errors import KernelError
from tiermem.layer.promote_device import PromoteCode
from tiermem.layer.topology import read_topology
from tiermem.m5.engine import Engine, Parts
from tiermem.m5.hotlist import U64, HotList
from tiermem.m5.layout import choose_layout
from tiermem.m5.monitor import Monitor, NoTraffic
from tiermem.m5.nominator import NominatorSettings
from tiermem.m5.policy import PolicySettings, load_policy
from tiermem.m5.promoter import Moves
from tiermem.m5.rate_limit import RateLimiter
from tiermem.m5.room import RoomMethod
from tiermem.m5.rounds import NOT_ASKED, Rounds
from tiermem.m5.scope import Everybody
from tiermem.m5.settings import MonitorSettings, TierSettings

from tests.unit.m5.lists import ROUND_NS, S, pages
from tests.unit.m5.trees import BLOCK_BYTES, make_tree

FIRST = BLOCK_BYTES // 4096  # of the slow node's frames


class ListsTracker:
    """Yields the same lists every round, or fails."""

    name = "lists"
    traffic = NoTraffic()
    shortest_round_ns = 0
    read_Bps_estimate: tuple[float, float] | None = None  # noqa: N815

    def __init__(self, *lists: HotList) -> None:
        self.yields = lists

    def start(self) -> None: ...

    def lists(self, now_ns: int) -> tuple[HotList, ...]:
        return self.yields

    def stop(self) -> None: ...


class ScriptedPromoter:
    """Answers each frame by `fate`, MOVED where it has none; remembers what it was asked."""

    name = "scripted"

    def __init__(self, fate: dict[int, PromoteCode] | None = None) -> None:
        self.fate = fate or {}
        self.asked: list[tuple[int, list[int]]] = []
        self.error: KernelError | None = None

    def promote(self, pages: U64, node: int) -> Moves:
        if self.error is not None:
            raise self.error
        self.asked.append((node, pages.tolist()))
        codes = [self.fate.get(page, PromoteCode.MOVED) for page in pages.tolist()]
        return Moves(np.array(codes, dtype=np.uint8), codes.count(PromoteCode.MOVED), 1000)

    def close(self) -> None: ...


class CountingRoom:
    """Frees whatever it is asked for."""

    method: RoomMethod = "reclaim"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def make(self, pages: int, swappiness: int) -> int:
        self.asked.append(pages)
        return pages


def engine(
    root: Path,
    hot: dict[int, int],
    *,
    promoter: ScriptedPromoter | None = None,
    limit_pages: int = 1000,
    free_pages: int = 1000,
    **other: Any,
) -> Engine:
    tree = make_tree(root, free_pages=free_pages)
    layout = choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))
    tracker = ListsTracker(pages({FIRST + page: reads for page, reads in hot.items()}))
    settings = PolicySettings(nominator=NominatorSettings(mode="hpt", min_visits=1))
    parts = Parts(
        layout=layout,
        tracker=tracker,
        monitor=Monitor((0,), (1,), tracker.traffic, MonitorSettings(), tree),
        policy=load_policy("density", settings),
        limiter=RateLimiter(limit_pages * 4096 / 1e6, 1.0, 0),
        promoter=promoter or ScriptedPromoter(),
        scope=Everybody(),
        room=CountingRoom(),
    )
    return Engine(parts, Rounds(), other.get("dry_run", False), swappiness=60)


def asked(tiering: Engine) -> list[tuple[int, list[int]]]:
    promoter = tiering.parts.promoter
    assert isinstance(promoter, ScriptedPromoter)
    return promoter.asked


def test_hot_pages_go_to_the_fast_node_hottest_first(tmp_path: Path) -> None:
    tiering = engine(tmp_path, {1: 100, 2: 300, 3: 200})
    one = tiering.run_round(ROUND_NS)
    assert asked(tiering) == [(0, [FIRST + 2, FIRST + 3, FIRST + 1])]
    assert one.moved_pages == 3
    assert tiering.rounds.totals.results == {"moved": 3}


def test_a_dry_run_asks_for_nothing(tmp_path: Path) -> None:
    tiering = engine(tmp_path, {1: 100}, dry_run=True)
    one = tiering.run_round(ROUND_NS)
    assert one.decision.promote.tolist() == [FIRST + 1]
    assert asked(tiering) == []
    assert one.results.tolist() == [NOT_ASKED]


def test_the_rate_limit_holds_over_rounds(tmp_path: Path) -> None:
    hot = dict.fromkeys(range(500), 1000)
    tiering = engine(tmp_path, hot, limit_pages=100)
    for number in range(1, 21):
        tiering.run_round(number * S // 10)
    assert tiering.rounds.totals.moved_pages <= 100 + 2 * 100


def test_room_is_made_for_what_does_not_fit(tmp_path: Path) -> None:
    tiering = engine(tmp_path, dict.fromkeys(range(50), 1000), free_pages=244)
    one = tiering.run_round(ROUND_NS)
    assert isinstance(tiering.parts.room, CountingRoom)
    assert tiering.parts.room.asked == [40]  # ten pages are free above the watermark
    assert one.room_pages == 40


def test_pages_that_cannot_move_are_left_alone_for_a_while(tmp_path: Path) -> None:
    promoter = ScriptedPromoter({FIRST + 1: PromoteCode.NOT_MOVABLE, FIRST + 2: PromoteCode.BUSY})
    tiering = engine(tmp_path, {1: 100, 2: 90}, promoter=promoter)
    tiering.run_round(ROUND_NS)
    tiering.run_round(2 * ROUND_NS)
    assert [frames for _, frames in promoter.asked] == [[FIRST + 1, FIRST + 2], [FIRST + 2]]


def test_a_promoter_that_fails_loses_the_round_and_says_so(tmp_path: Path) -> None:
    promoter = ScriptedPromoter()
    promoter.error = KernelError("move 1 pages", 19)
    tiering = engine(tmp_path, {1: 100}, promoter=promoter)
    assert tiering.run_round(ROUND_NS).moved_pages == 0
    assert "move 1 pages" in tiering.promoter_trouble
    promoter.error = None
    assert tiering.run_round(2 * ROUND_NS).moved_pages == 1
    assert tiering.promoter_trouble == ""


def test_frames_of_no_slow_node_are_never_asked_for(tmp_path: Path) -> None:
    tiering = engine(tmp_path, {-FIRST: 1000, 1: 100})
    tiering.run_round(ROUND_NS)
    assert asked(tiering) == [(0, [FIRST + 1])]


def test_a_tracker_s_failure_is_the_caller_s_to_handle(tmp_path: Path) -> None:
    tiering = engine(tmp_path, {1: 100})

    def fail(now_ns: int) -> tuple[HotList, ...]:
        raise KernelError("query", 19)

    tiering.parts.tracker.lists = fail  # type: ignore[method-assign]
    with pytest.raises(KernelError):
        tiering.run_round(ROUND_NS)
