"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tiermem.service.notify import Notifier

FED = 10
"""Words to the watchdog that are waited for."""


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

    async def feed() -> list[float]:
        fed_s = [time.monotonic()]
        feeding = asyncio.create_task(notifier.feed_watchdog())
        for _ in range(FED):
            heard = await asyncio.wait_for(asyncio.to_thread(systemd.recv, 4096), 10)
            assert heard == b"WATCHDOG=1"
            fed_s.append(time.monotonic())
        feeding.cancel()
        return fed_s

    began_s, *fed_s = asyncio.run(feed())
    assert fed_s[-1] - began_s > 0.95 * (FED - 1) * 0.02
    assert min(b - a for a, b in pairwise(fed_s)) < 0.03, "some are not late"


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
