"""The porter over HTTP: calls, what goes wrong with them, and hosts that help each other."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.service import Porter
from tiermem.errors import TiermemError

FUNCTION = """
import time

def handle(event):
    if "sleep_s" in event:
        time.sleep(event["sleep_s"])
    return 1 / event.get("divide_by", 1)
"""
Call = Callable[..., Awaitable[tuple[int, Any]]]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def serving(folder: Path, port: int, **changes: Any) -> AsyncIterator[Porter]:
    file = folder / "f.py"
    file.write_text(FUNCTION)
    function = {"file": str(file), "timeout_s": changes.pop("timeout_s", 10.0)}
    values = {"listen": f"127.0.0.1:{port}", "start": "cold", "functions": {"f": function}}
    porter = Porter(PorterSettings.model_validate({**values, **changes}))
    started = asyncio.Event()
    task = asyncio.create_task(porter.run(started))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            await task
        yield porter
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def with_porters(body: Callable[..., Awaitable[None]], *porters: Any) -> None:
    """Run `body` with the porters and a way to call the function at a port."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(one) for one in porters]
            session = await stack.enter_async_context(aiohttp.ClientSession())

            async def call(port: int, event: Any, name: str = "f") -> tuple[int, Any]:
                url = f"http://127.0.0.1:{port}/invoke/{name}"
                data = event if isinstance(event, bytes) else json.dumps(event)
                async with session.post(url, data=data) as answer:
                    return answer.status, await answer.json()

            await body(call, *opened)

    asyncio.run(run())


def test_a_call_is_answered_and_the_next_is_warm(tmp_path: Path) -> None:
    port = free_port()

    async def body(call: Call, porter: Porter) -> None:
        status, answer = await call(port, {"divide_by": 4})
        assert (status, answer["result"], answer["how"]) == (200, 0.25, "cold")
        assert answer["latency_ms"] > 0
        assert (await call(port, {}))[1]["how"] == "warm"
        text = porter.metrics.render()[0].decode()
        assert 'tiermem_porter_calls_total{function="f"} 2.0' in text

    with_porters(body, serving(tmp_path, port))


@pytest.mark.parametrize(
    ("event", "name", "status", "said"),
    [
        ({"divide_by": 0}, "f", 500, "ZeroDivisionError: division by zero"),
        ({"sleep_s": 30}, "f", 504, "no answer within 3 s"),
        ({}, "nothing", 404, "is not known here; those that are: f"),
        (b"{junk", "f", 400, "the body must be JSON"),
    ],
)
def test_what_goes_wrong_has_a_status_and_a_sentence(
    tmp_path: Path, event: Any, name: str, status: int, said: str
) -> None:
    port = free_port()

    async def body(call: Call, _porter: Porter) -> None:
        found, answer = await call(port, event, name)
        assert found == status
        assert said in answer["error"]
        assert (await call(port, {}))[0] == 200

    with_porters(body, serving(tmp_path, port, timeout_s=3.0))


def test_a_full_host_hands_calls_to_a_peer_and_takes_those_that_peers_cannot(
    tmp_path: Path,
) -> None:
    a, b = free_port(), free_port()
    peers = [f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{b}"]  # one is down

    async def body(call: Call, at_a: Porter, at_b: Porter) -> None:
        calls = [asyncio.create_task(call(a, {"sleep_s": 0.5})) for _ in range(4)]
        answers = await asyncio.gather(*calls)
        assert [status for status, _ in answers] == [200] * 4
        assert at_a.spilled >= 1
        assert at_b.dispatcher.functions["f"].calls == at_a.spilled
        assert at_a.dispatcher.functions["f"].calls == 4 - at_a.spilled

    with_porters(
        body,
        serving(tmp_path, a, memory_MiB=16, peers=peers),
        serving(tmp_path, b, memory_MiB=16),
    )


def test_an_address_that_is_taken_or_none_is_named(tmp_path: Path) -> None:
    port = free_port()

    async def body(call: Call, _porter: Porter) -> None:
        with pytest.raises(TiermemError, match=f"127.0.0.1:{port}: .*in use"):
            async with serving(tmp_path, port):
                pass

    with_porters(body, serving(tmp_path, port))
    with pytest.raises(TiermemError, match="must be HOST:PORT"):
        asyncio.run(Porter(PorterSettings(listen="here", start="cold")).run())


def test_without_the_fork_daemon_it_says_so(tmp_path: Path) -> None:
    settings = PorterSettings(fork_socket=tmp_path / "fork.sock")
    with pytest.raises(TiermemError, match="no fork daemon is listening"):
        asyncio.run(Porter(settings).run())
