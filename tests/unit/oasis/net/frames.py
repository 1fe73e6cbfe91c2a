"""Ethernet frames by hand, and sockets that send and see them."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

from tiermem.oasis.net.namespace import inside

# linux/if_ether.h, linux/if_packet.h
ETH_P_ALL = 0x0003
EXPERIMENT = 0x88B5
"""The type that IEEE 802 leaves for local experiments."""
NO_OFFLOADS = bytes(10)
EVERYBODY = 0xFFFFFFFFFFFF
PATIENCE_S, WHILE_S = 10.0, 0.3


def ethernet(to: int, source: int, payload: bytes, kind: int = EXPERIMENT) -> bytes:
    """Without checksum, at least as long as Ethernet wants it."""
    head = to.to_bytes(6, "big") + source.to_bytes(6, "big") + struct.pack(">H", kind)
    return (head + payload).ljust(60, b"\0")


@contextlib.contextmanager
def raw_socket(namespace: str, interface: str) -> Iterator[socket.socket]:
    """Sends any frame from that interface, and sees what comes to it (not what leaves it)."""
    with inside(namespace):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with made:
        made.bind((interface, ETH_P_ALL))
        yield made


def frames_seen(seen_by: socket.socket, marker: bytes, wanted: int = 1) -> list[bytes]:
    """Frames that hold `marker`: as many as are wanted, however late, and those that come in the
    while after them."""
    found: list[bytes] = []
    with contextlib.suppress(TimeoutError):
        while True:
            seen_by.settimeout(PATIENCE_S if len(found) < wanted else WHILE_S)
            frame, address = seen_by.recvfrom(65536)
            if marker in frame and address[2] != socket.PACKET_OUTGOING:
                found.append(frame)
    return found


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Whether it comes true in time."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True
