"""Load on a network: round trips of UDP messages, and TCP as fast as it goes.

The other end (`Outside`, a child) answers on all addresses of its namespace. The loops are
C (native/net_load.h). Sizes are of IP packets.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tiermem.errors import KernelError, TiermemError, TimeoutExpiredError
from tiermem.native._net_load import ffi, lib
from tiermem.oasis.net.namespace import inside

from bench.child import run_on, serve
from bench.net_world import PORT, Site

HEADER_BYTES = 28
"""Of IPv4 and UDP."""
PATIENCE_S = 10.0
"""A spinning thread that yields gets no processor for seconds, where others want them all."""
_TOTALS = struct.Struct("<Qd")
_SECONDS = struct.Struct("<d")


@dataclass(frozen=True)
class Outside:
    """The other end, in that namespace, on that processor."""

    namespace: str
    cpu: int
    port: int = PORT


def ask(site: Site, packet_bytes: int, count: int, gap_us: float = 0.0) -> npt.NDArray[np.uint32]:
    """The round-trip times of `count` packets, in ns, each sent gap_us after the last answer.

    TimeoutExpiredError where one does not come back, TiermemError where it is another one.
    """
    latencies_ns = np.zeros(count, np.uint32)
    with inside(site.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        timeout = struct.pack("ll", int(PATIENCE_S), 0)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        asking.connect((site.outside, site.port))
        error = lib.net_load_ask(
            asking.fileno(),
            packet_bytes - HEADER_BYTES,
            count,
            int(gap_us * 1000),
            ffi.from_buffer("uint32_t[]", latencies_ns),
        )
    if error == errno.EAGAIN:
        raise TimeoutExpiredError(f"{site.namespace}: no answer within {PATIENCE_S:g} s")
    if error == errno.EBADMSG:
        raise TiermemError(f"{site.namespace}: the answer is not what was sent")
    if error:
        raise KernelError(f"{site.namespace}: send {packet_bytes} bytes", error)
    return latencies_ns


def stream_to(site: Site, seconds: float) -> float:
    """bytes a second of TCP from the site to the outside."""
    with _connected(site) as stream:
        stream.sendall(_SECONDS.pack(0.0))
        _check(lib.net_load_flood(stream.fileno(), seconds), site.namespace)
        sent, took_s = _TOTALS.unpack(_exactly(stream, _TOTALS.size))
    return float(sent / took_s)


def stream_from(site: Site, seconds: float) -> float:
    """bytes a second of TCP from the outside to the site."""
    with _connected(site) as stream:
        stream.sendall(_SECONDS.pack(seconds))
        came, took_s = _sink(stream, site.namespace)
    return came / took_s


@contextmanager
def _connected(site: Site) -> Iterator[socket.socket]:
    with inside(site.namespace):
        stream = socket.create_connection((site.outside, site.port), PATIENCE_S)
    with stream:
        stream.settimeout(None)
        yield stream


def _check(error: int, where: str) -> None:
    if error:
        raise KernelError(f"{where}: send or receive", error)


def _sink(stream: socket.socket, where: str) -> tuple[int, float]:
    came, took_s = ffi.new("uint64_t *"), ffi.new("double *")
    _check(lib.net_load_sink(stream.fileno(), came, took_s), where)
    return int(came[0]), float(took_s[0])


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise TiermemError("the other end of a TCP stream ended early")
        data += part
    return data


# --- the other end ---


def _answer_streams(listener: socket.socket) -> None:
    while True:
        stream, _ = listener.accept()
        with stream:
            (seconds,) = _SECONDS.unpack(_exactly(stream, _SECONDS.size))
            if seconds:
                _check(lib.net_load_flood(stream.fileno(), seconds), "outside")
            else:
                stream.sendall(_TOTALS.pack(*_sink(stream, "outside")))


@contextmanager
def _start(given: Mapping[str, Any]) -> Iterator[None]:
    outside = Outside(**given)
    run_on(outside.cpu)
    with inside(outside.namespace):
        echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener = socket.create_server(("", outside.port))
    echo.bind(("", outside.port))
    threading.Thread(target=lib.net_load_echo, args=(echo.fileno(),), daemon=True).start()
    threading.Thread(target=_answer_streams, args=(listener,), daemon=True).start()
    yield


if __name__ == "__main__":
    serve(_start)
