"""An instance of a function: a worker process and the two pipes to it.

It was started cold (the interpreter, the function's file, its initialisation) or
restored from the function's image; from then on there is no difference.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiermem.cxlfork.porter.worker import LENGTH, MESSAGE_BYTES_MAX, frame
from tiermem.errors import TiermemError, TimeoutExpiredError

PRINTED_BYTES_MAX = 65536
"""The longest line of a function's output that is logged."""
_log = logging.getLogger(__name__)


class FunctionError(TiermemError):
    """The function raised; its instance is as good as before."""


@dataclass(frozen=True)
class Pipes:
    """The porter's ends: where requests go in, answers come out, and what is printed."""

    requests: int
    answers: int
    printed: int


@contextmanager
def new_pipes() -> Iterator[tuple[Pipes, tuple[int, int, int]]]:
    """The porter's ends, and what the worker gets as 0, 1 and 2, which are closed after the
    block; the porter's too where it fails."""
    worker_in, requests = os.pipe()
    answers, worker_out = os.pipe()
    printed, worker_err = os.pipe()
    given = (worker_in, worker_out, worker_err)
    try:
        yield Pipes(requests, answers, printed), given
    except BaseException:
        _close(requests, answers, printed)
        raise
    finally:
        _close(*given)


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


class Instance:
    """See the module. One call at a time."""

    def __init__(self, pid: int, how: str, end: Callable[[], None]) -> None:
        """how: "cold", or the policy it was restored with; end: kills the process."""
        self.pid, self.how = pid, how
        self._end = end
        self.calls = 0
        self._logging: asyncio.Task[None] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, pipes: Pipes) -> None:
        """Take the porter's ends of the pipes into the event loop."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MESSAGE_BYTES_MAX)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipes.answers, "rb", 0)
        )
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(pipes.requests, "wb", 0)
        )
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        printed = asyncio.StreamReader(limit=PRINTED_BYTES_MAX)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(printed), os.fdopen(pipes.printed, "rb", 0)
        )
        self._logging = asyncio.create_task(self._log_what_is_printed(printed))

    async def _log_what_is_printed(self, printed: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await printed.readline()
            except ValueError:  # a line that is too long: it is dropped
                continue
            if not line:
                return
            _log.info("instance %d: %s", self.pid, line.decode(errors="replace").rstrip())

    async def wait_ready(self, timeout_s: float) -> None:
        """For the first message of a worker that was started cold. TiermemError."""
        answer = await self._receive(timeout_s)
        if "ready" not in answer:
            raise TiermemError(str(answer.get("error", "the worker did not say that it is ready")))

    async def call(self, event: Any, timeout_s: float) -> Any:
        """The function's result; FunctionError where it raised, TiermemError where the
        instance died or took too long, and is of no more use."""
        assert self._writer is not None
        self._writer.write(frame(event))
        try:
            await self._writer.drain()
        except ConnectionError:
            raise TiermemError(f"instance {self.pid}: has ended") from None
        answer = await self._receive(timeout_s)
        self.calls += 1
        if "error" in answer:
            raise FunctionError(str(answer["error"]))
        return answer["result"]

    async def _receive(self, timeout_s: float) -> dict[str, Any]:
        assert self._reader is not None
        try:
            async with asyncio.timeout(timeout_s):
                head = await self._reader.readexactly(LENGTH.size)
                body = await self._reader.readexactly(LENGTH.unpack(head)[0])
        except TimeoutError:
            raise TimeoutExpiredError(
                f"instance {self.pid}: no answer within {timeout_s:g} s"
            ) from None
        except asyncio.IncompleteReadError:
            raise TiermemError(f"instance {self.pid}: has ended") from None
        answer = json.loads(body)
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End it."""
        if self._writer is not None:
            self._writer.close()
        self._end()


async def start_cold(function: Path, timeout_s: float) -> Instance:
    """A new interpreter that loads the function. TiermemError where that fails."""
    command = [sys.executable, "-m", "tiermem.cxlfork.porter.worker", str(function)]
    with new_pipes() as (pipes, given):
        # With a session of its own, it depends on nothing that an image would lack.
        process = subprocess.Popen(
            command, stdin=given[0], stdout=given[1], stderr=given[2], start_new_session=True
        )

    def end() -> None:
        process.kill()
        process.wait()

    instance = Instance(process.pid, "cold", end)
    try:
        await instance.connect(pipes)
        await instance.wait_ready(timeout_s)
    except BaseException:
        instance.close()
        raise
    return instance
