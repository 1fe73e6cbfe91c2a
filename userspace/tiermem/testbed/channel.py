"""QEMU's monitor and the guest agent, as plain blocking calls.

Both speak the same protocol (the `qemu.qmp` package). All of the testbed's
connections, and all QEMU processes, belong to one background thread: it lives
as long as the process, and a QEMU dies when the thread that started it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError

from tiermem.testbed.errors import BootError

T = TypeVar("T")

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class ChannelClosedError(BootError):
    """The other side is gone: QEMU ended, or the agent's port was taken away."""


class ChannelTimeoutError(BootError):
    """The other side did not answer in time."""


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="tiermem-testbed", daemon=True).start()
    return loop


def in_background(function: Callable[[], T]) -> T:
    """Call a function in the background thread and return what it returns."""

    async def call() -> T:
        return function()

    return _wait(call())


def _wait(coroutine: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


class Channel:
    """A connection to a QMP or guest agent socket. Calls from several threads are fine."""

    def __init__(self, name: str, socket: Path, *, agent: bool) -> None:
        self._socket = socket
        self._agent = agent
        self._client = self._new_client(name)

    def _new_client(self, name: str) -> QMPClient:
        client = QMPClient(name)
        if self._agent:
            client.await_greeting = False
            client.negotiate = False
        return client

    def connect(self, timeout_s: float) -> None:
        """Connect; raises ChannelClosedError or ChannelTimeoutError."""
        self._run(self._client.connect(str(self._socket)), timeout_s, "connect")

    def execute(
        self, command: str, arguments: dict[str, object] | None = None, *, timeout_s: float = 120.0
    ) -> Any:
        """Run one command and return its answer; errors of the other side are BootError."""
        return self._run(self._client.execute(command, arguments), timeout_s, command)

    def close(self) -> None:
        """Disconnect, whatever state the connection is in."""
        with contextlib.suppress(QMPError, OSError, EOFError, BootError, TimeoutError):
            self._run(self._client.disconnect(), 5.0, "disconnect")

    def _run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float, doing: str) -> T:
        try:
            return _wait(asyncio.wait_for(coroutine, timeout_s))
        except TimeoutError:
            raise ChannelTimeoutError(
                f"{self._socket}: no answer to {doing} in {timeout_s:.0f} s"
            ) from None
        except ExecuteError as error:
            raise BootError(f"{self._socket}: {doing}: {error}") from error
        except (ConnectError, QMPError, OSError, EOFError) as error:
            raise ChannelClosedError(f"{self._socket}: {doing}: {error}") from error
