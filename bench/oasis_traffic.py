"""What an instance and the outside tell each other while something happens to the network."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

from tiermem.oasis.net.namespace import inside

UDP_PORT, TCP_PORT = 7, 5001
EVERY_S = 0.001
CHUNK_BYTES = 20_000


def socket_in(namespace: str, kind: int) -> socket.socket:
    with inside(namespace):
        made = socket.socket(socket.AF_INET, kind)
    made.settimeout(10)
    return made


class Seen:
    """When something came; gap_s: the longest time without."""

    def __init__(self) -> None:
        self.seen_s: list[float] = []

    @property
    def gap_s(self) -> float:
        return max(b - a for a, b in zip(self.seen_s, self.seen_s[1:], strict=False))


class Echoes(Seen):
    """Datagrams each millisecond, sent back by the outside; sent: how many."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0


@contextlib.contextmanager
def running(*jobs: Callable[[], None], until: threading.Event) -> Iterator[None]:
    """Each in a thread, while the block runs; its end is told by the event, and waited for."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def echoes(here: str, outside: str, address: str) -> Iterator[Echoes]:
    """They go on for as long as the block does."""
    result, done = Echoes(), threading.Event()
    ours, theirs = (socket_in(one, socket.SOCK_DGRAM) for one in (here, outside))
    with ours, theirs:
        theirs.bind((address, UDP_PORT))
        theirs.settimeout(0.1)
        ours.setblocking(False)

        def answer() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    theirs.sendto(*theirs.recvfrom(100))

        def ask() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError):
                    ours.sendto(b"%d" % result.sent, (address, UDP_PORT))
                result.sent += 1
                time.sleep(EVERY_S)
                with contextlib.suppress(BlockingIOError):
                    while ours.recv(100):
                        result.seen_s.append(time.monotonic())

        with running(answer, ask, until=done):
            yield result


class Stream(Seen):
    """A TCP connection on which the instance sends; received, wanted: digests."""

    received = wanted = b""
    bytes = 0


@contextlib.contextmanager
def stream(here: str, outside: str, address: str) -> Iterator[Stream]:
    """It goes on for as long as the block does; then its digests are known."""
    result, done = Stream(), threading.Event()
    with socket_in(outside, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, TCP_PORT))
        listener.listen()

        def receive() -> None:
            digest = hashlib.sha256()
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                while data := connection.recv(1 << 16):
                    result.seen_s.append(time.monotonic())
                    digest.update(data)
            result.received = digest.digest()

        def send() -> None:
            digest, chance = hashlib.sha256(), random.Random(0)
            with socket_in(here, socket.SOCK_STREAM) as sender:
                sender.connect((address, TCP_PORT))
                while not done.is_set():
                    data = chance.randbytes(CHUNK_BYTES)
                    sender.sendall(data)
                    digest.update(data)
                    result.bytes += len(data)
                    time.sleep(EVERY_S)
            result.wanted = digest.digest()

        with running(receive, send, until=done):
            yield result
