"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.service.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listener


def test_the_life_of_a_daemon(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready("serving")
    notifier.status("moved 7\npages")
    notifier.reloading()
    notifier.stopping()
    heard = [systemd.recv(4096).decode() for _ in range(4)]
    assert heard == ["READY=1\nSTATUS=serving", "STATUS=moved 7 pages", "RELOADING=1", "STOPPING=1"]


def test_the_watchdog_is_fed_at_half_its_time(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    notifier = Notifier()
    assert notifier.watchdog_interval_s == 0.04

    async def feed() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(notifier.feed_watchdog(), 0.2)

    asyncio.run(feed())
    systemd.setblocking(False)
    fed = 0
    with pytest.raises(BlockingIOError):
        while systemd.recv(4096) == b"WATCHDOG=1":
            fed += 1
    assert 3 <= fed <= 11


def test_outside_systemd_nothing_happens() -> None:
    notifier = Notifier(environ={})
    notifier.ready()
    assert notifier.watchdog_interval_s is None
    asyncio.run(notifier.feed_watchdog())


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)},
        {"WATCHDOG_USEC": "junk"},
        {"WATCHDOG_USEC": "0"},
    ],
)
def test_a_watchdog_that_is_not_ours(environ: dict[str, str]) -> None:
    assert Notifier(environ).watchdog_interval_s is None
