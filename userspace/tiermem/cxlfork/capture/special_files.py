"""Descriptors of things that have no name: eventfd, signalfd, timerfd, epoll, memfd."""

from __future__ import annotations

import fcntl
import os
import re

from tiermem.cxlfork.capture.files import DELETED
from tiermem.cxlfork.capture.open_files import OpenFile
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.native._fork import ffi, lib

_PAIR = re.compile(r"\((\d+), (\d+)\)")
_READ_BYTES = 1 << 20


def event_record(file: OpenFile) -> tuple[int, bool]:
    """Its count, and whether each read takes one only."""
    return int(file.one("eventfd-count"), 16), file.one("eventfd-semaphore") == "1"


def signal_record(file: OpenFile) -> int:
    """Its mask."""
    return int(file.one("sigmask"), 16)


def timer_extra(file: OpenFile) -> bytes:
    """struct image_timerfd."""
    with file.taken() as fd:
        lib.process_fd_ask_timer(fd)
    file = file.looked_at_again()
    timer = ffi.new("struct image_timerfd *")
    timer.clock = int(file.one("clockid"))
    timer.set_flags = int(file.one("settime flags"), 8)
    timer.ticks = int(file.one("ticks"))
    timer.value_ns = _pair_ns(file.one("it_value"))
    timer.interval_ns = _pair_ns(file.one("it_interval"))
    return bytes(ffi.buffer(timer))


def _pair_ns(text: str) -> int:
    match = _PAIR.fullmatch(text)
    assert match is not None  # fs/timerfd.c prints "(%llu, %llu)"
    return int(match[1]) * 1_000_000_000 + int(match[2])


def epoll_extra(file: OpenFile, kept: dict[int, OpenFile], refusals: Refusals) -> bytes:
    """struct image_epoll_item[]; what is watched must still be open by its number."""
    items = []
    for line in file.all("tfd"):
        number, events, data, inode = _epoll_line(line)
        watched = kept.get(number)
        if watched is None:
            continue
        if watched.found.st_ino != inode:
            refusals.add(
                f"{file.where} watches what was descriptor {number} before it was closed; "
                f"--close-fd {file.number} leaves it out"
            )
        item = ffi.new("struct image_epoll_item *")
        item.fd, item.events, item.data = number, events, data
        items.append(bytes(ffi.buffer(item)))
    return b"".join(items)


def _epoll_line(value: str) -> tuple[int, int, int, int]:
    """`7 events: 19 data: ff  pos:0 ino:1b sdev:9`: number decimal, the rest hex."""
    words = value.replace(":", " ").split()
    fields = dict(zip(words[1::2], words[2::2], strict=False))
    return int(words[0]), int(fields["events"], 16), int(fields["data"], 16), int(fields["ino"], 16)


def memory_extra(file: OpenFile) -> tuple[str, int, bytes]:
    """A memfd's name, its seals, and its bytes."""
    name = file.name.removesuffix(DELETED).removeprefix("/memfd:")
    with file.taken() as fd:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        held = bytearray()
        while part := os.pread(fd, _READ_BYTES, len(held)):
            held += part
    return name, seals, bytes(held)
