"""A function's worker: started cold, called over its pipes, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiermem.cxlfork.porter.instance import Instance, start_cold
from tiermem.errors import TiermemError, TimeoutExpiredError

FUNCTION = """
import time
print("loading")
calls = 0

def handle(event):
    global calls
    calls += 1
    print("called")
    if event == "slow":
        time.sleep(60)
    if event == "bad":
        raise ValueError("no such thing")
    return {"event": event, "calls": calls}
"""


def with_instance(
    folder: Path, body: Callable[[Instance], Awaitable[None]], source: str = FUNCTION
) -> None:
    """Run `body` with an instance of the function; it is gone afterwards."""
    file = folder / "function.py"
    file.write_text(source)

    async def run() -> None:
        instance = await start_cold(file, timeout_s=30)
        try:
            await body(instance)
        finally:
            instance.close()
            assert not psutil.pid_exists(instance.pid)

    asyncio.run(run())


def test_it_keeps_its_state_from_call_to_call(tmp_path: Path) -> None:
    async def body(instance: Instance) -> None:
        for calls in (1, 2, 3):
            answer = await instance.call({"n": calls}, timeout_s=10)
            assert answer == {"event": {"n": calls}, "calls": calls}
        assert instance.calls == 3

    with_instance(tmp_path, body)


def test_what_it_prints_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(instance: Instance) -> None:
        with caplog.at_level("INFO", "tiermem"):
            await instance.call(1, timeout_s=10)
            async with asyncio.timeout(10):
                while f"instance {instance.pid}: called" not in caplog.messages:
                    await asyncio.sleep(0.01)

    with_instance(tmp_path, body)


def test_a_large_event_goes_through(tmp_path: Path) -> None:
    async def body(instance: Instance) -> None:
        text = "x" * 3_000_000
        assert (await instance.call(text, timeout_s=10))["event"] == text

    with_instance(tmp_path, body)


def test_a_function_that_raises_is_told_of_and_goes_on(tmp_path: Path) -> None:
    async def body(instance: Instance) -> None:
        with pytest.raises(TiermemError, match="ValueError: no such thing"):
            await instance.call("bad", timeout_s=10)
        assert (await instance.call("good", timeout_s=10))["calls"] == 2

    with_instance(tmp_path, body)


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    async def body(instance: Instance) -> None:
        with pytest.raises(TimeoutExpiredError, match=r"no answer within 0\.3 s"):
            await instance.call("slow", timeout_s=0.3)

    with_instance(tmp_path, body)


def test_one_that_dies(tmp_path: Path) -> None:
    async def body(instance: Instance) -> None:
        os.kill(instance.pid, signal.SIGKILL)
        with pytest.raises(TiermemError, match="has ended"):
            await instance.call("x", timeout_s=10)

    with_instance(tmp_path, body)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "AttributeError"),
        ("raise SystemExit(3)", "has ended"),
    ],
)
def test_a_function_that_cannot_be_loaded(tmp_path: Path, source: str, said: str) -> None:
    async def body(_instance: Instance) -> Any:
        raise AssertionError("it was started")

    with pytest.raises(TiermemError, match=said):
        with_instance(tmp_path, body, source)
