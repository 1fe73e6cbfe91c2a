"""The daemon's routes: reading page maps keeps nobody waiting but who asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tiermem.layer.sysfs import Tree
from tiermem.m5 import hot_pages, routes
from tiermem.m5.daemon import Daemon
from tiermem.m5.observation import Verdict
from tiermem.m5.rounds import Rounds
from tiermem.m5.settings import M5Settings
from tiermem.service.api import LocalApi, Reader

from tests.unit.m5.made_rounds import a_round
from tests.unit.m5.trees import add_process

PID = 7


class Routes:
    """Stands in for the API: keeps the readers that are added."""

    def __init__(self, daemon: object) -> None:
        self.readers: dict[str, Reader] = {}
        routes.add_routes(cast(LocalApi, self), cast(Daemon, daemon))

    def get(self, route: str, reader: Reader) -> None:
        self.readers[route] = reader

    def post(self, route: str, writer: object) -> None: ...

    async def ask(self, route: str, **query: str) -> Any:
        return await self.readers[route](query)


class Slow:
    """Wraps a page map reader: it waits for `go`, and knows how many were at it at once."""

    def __init__(self, reader: Callable[..., Any]) -> None:
        self.reader = reader
        self.go = threading.Event()
        self.at_once = self.most_at_once = self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.go.wait(10), "the event loop was kept waiting"
        self.at_once -= 1
        return self.reader(*arguments)


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    tree = Tree(tmp_path / "sys", tmp_path / "proc")
    add_process(tree, PID, {1: 101})
    rounds = Rounds()
    rounds.add(a_round(1, {101: Verdict.NO_PROFIT}, next_round_ns=1 << 62))
    settings = M5Settings.model_validate({"scope": {"pids": [PID + 1]}})
    return SimpleNamespace(tree=tree, engine=SimpleNamespace(rounds=rounds), settings=settings)


async def while_it_reads(slow: Slow, *questions: Any) -> list[Any]:
    """The answers; the loop turns meanwhile, and only then may the readers go on."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    while not slow.calls:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    slow.go.set()
    return await asyncio.gather(*tasks)


def test_explain_reads_page_maps_beside_the_loop(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(routes.read_frames)
    monkeypatch.setattr(routes, "read_frames", slow)
    api = Routes(daemon)
    question = {"pid": str(PID), "wait_s": "0"}
    first, second = asyncio.run(
        while_it_reads(slow, api.ask("/v1/explain", **question), api.ask("/v1/explain", **question))
    )
    assert first == second
    assert first["verdicts"] == {"no_profit": 1}
    assert slow.most_at_once == 1


def test_hot_pages_are_looked_up_beside_the_loop_once_for_all(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(hot_pages.find_owners)
    monkeypatch.setattr(hot_pages, "find_owners", slow)
    api = Routes(daemon)
    answers = asyncio.run(while_it_reads(slow, api.ask("/v1/hot"), api.ask("/v1/hot")))
    assert [[found["pid"] for found in answer] for answer in answers] == [[PID], [PID]]
    assert slow.calls == 1


def test_explain_says_that_a_process_is_outside_the_scope(daemon: Any) -> None:
    answer = asyncio.run(Routes(daemon).ask("/v1/explain", pid=str(PID), wait_s="0"))
    assert answer["outside"] == f"scope.pids = [{PID + 1}]"
