"""Traffic that goes on while something happens to the network between two namespaces.

usage: steady_traffic.py answer ADDRESS | ask ADDRESS FILE
`answer` sends back what comes by UDP and, of one connection, by TCP. `ask` sends a number each
EVERY_S both ways, and FILE gets a line for each that comes back: udp or tcp, the number, and
when, in seconds of the monotonic clock; or "broken" and why, where the connection is.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

PORT = 7
EVERY_S = 0.05
NUMBER = struct.Struct("!Q")


def answer(address: str) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_server((address, PORT)) as listener,
    ):
        udp.bind((address, PORT))
        connection: socket.socket | None = None
        while True:
            readable, _, _ = select.select([udp, connection or listener], [], [])
            if udp in readable:
                udp.sendto(*udp.recvfrom(100))
            if listener in readable:
                connection, _ = listener.accept()
            elif connection in readable:
                assert connection is not None
                connection.sendall(connection.recv(1 << 16))


class Asking:
    """Both ways to one address."""

    def __init__(self, address: str, file: TextIO) -> None:
        self._file = file
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.connect((address, PORT))
        self._tcp = socket.create_connection((address, PORT), timeout=60)
        for one in (self._udp, self._tcp):
            one.setblocking(False)
        self._to_send, self._came = b"", b""
        self._wanted = 0

    def send(self, number: int) -> None:
        # While nobody carries the interface the kernel may say so.
        with contextlib.suppress(OSError):
            self._udp.send(NUMBER.pack(number))
        self._to_send += NUMBER.pack(number)
        with contextlib.suppress(BlockingIOError):
            self._to_send = self._to_send[self._tcp.send(self._to_send) :]

    def receive(self, until_s: float) -> None:
        while (left_s := until_s - time.monotonic()) > 0:
            readable, _, _ = select.select([self._udp, self._tcp], [], [], left_s)
            if self._udp in readable:
                with contextlib.suppress(OSError):
                    self._note("udp", *NUMBER.unpack(self._udp.recv(100)))
            if self._tcp in readable:
                for number in self._numbers():
                    self._note("tcp", number)
            self._file.flush()

    def _numbers(self) -> Iterator[int]:
        """Of the connection: each one, in order."""
        data = self._tcp.recv(1 << 16)
        if not data:
            raise ConnectionError("closed by the other side")
        self._came += data
        while len(self._came) >= NUMBER.size:
            (number,) = NUMBER.unpack(self._came[: NUMBER.size])
            if number != self._wanted:
                raise ConnectionError(f"{number} came where {self._wanted} was to")
            self._came = self._came[NUMBER.size :]
            self._wanted += 1
            yield number

    def _note(self, kind: str, number: int) -> None:
        print(kind, number, f"{time.monotonic():.4f}", file=self._file)


def ask(address: str, path: str) -> None:
    with Path(path).open("w") as file:
        asking = Asking(address, file)
        next_s, number = time.monotonic(), 0
        try:
            while True:
                asking.send(number)
                number += 1
                next_s = max(next_s + EVERY_S, time.monotonic())
                asking.receive(next_s)
        except OSError as error:
            print("broken", error, file=file)


if __name__ == "__main__":
    {"answer": answer, "ask": ask}[sys.argv[1]](*sys.argv[2:])
