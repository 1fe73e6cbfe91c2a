"""The load generator: sends each call when it is due, whatever became of those before.

It runs on the same processor as what it loads, so it does as little as it can: plain
HTTP over connections that are kept. Calls are due in modelled time, which is slower than
the guest's clock while there is work and as fast while there is none; so it sleeps by the
guest's clock and looks again. A latency counts from when the call was due.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from bench.guest.porter_spec import Call

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_LATE_NS = 50_000  # a sleep is not worth it


class OpenLoop:
    """See the module. events: of each function; now_ns: modelled time."""

    def __init__(self, port: int, events: Mapping[str, str], now_ns: Callable[[], int]) -> None:
        self._port = port
        self._requests = {name: _request(name, event) for name, event in events.items()}
        self._now_ns = now_ns
        self._idle: list[Streams] = []

    async def run(self, arrivals: Sequence[tuple[float, str]]) -> list[Call]:
        """All calls, in the order in which they were due."""
        begin_ns = self._now_ns()
        tasks = []
        for at_s, name in arrivals:
            due_ns = begin_ns + round(at_s * 1e9)
            while (left_ns := due_ns - self._now_ns()) > _LATE_NS:
                await asyncio.sleep(left_ns / 1e9)
            tasks.append(asyncio.create_task(self._call(name, at_s, due_ns)))
            await asyncio.sleep(0)
        calls = await asyncio.gather(*tasks)
        while self._idle:
            self._idle.pop()[1].close()
        return calls

    async def _call(self, name: str, at_s: float, due_ns: int) -> Call:
        streams = self._idle.pop() if self._idle else await self._connect()
        reader, writer = streams
        writer.write(self._requests[name])
        status, body = await _answer(reader)
        latency_ns = self._now_ns() - due_ns
        self._idle.append(streams)
        said = json.loads(body)
        return Call(name, at_s, latency_ns, status, str(said.get("how") or said.get("error")))

    async def _connect(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._port)


def _request(name: str, event: str) -> bytes:
    body = event.encode()
    head = f"POST /invoke/{name} HTTP/1.1\r\nHost: porter\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    (length,) = [
        int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")
    ]
    return int(lines[0].split()[1]), await reader.readexactly(length)
