"""`tiermem serving top`, as it is typed, of a server that comes and goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.unit.serving.top.metrics_server import Served, serving

WIDE = {**os.environ, "COLUMNS": "120"}


def typed(*words: object) -> list[str]:
    return [sys.executable, "-m", "tiermem.cli", "serving", "top", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(typed(*words), capture_output=True, text=True, env=WIDE)


@pytest.fixture
def sigint() -> Iterator[None]:
    """Background jobs of a script ignore it, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def port() -> Iterator[int]:
    served = Served()
    served.works()
    with serving(served) as found:
        yield found


def test_once(port: int) -> None:
    shown = run(f"localhost:{port}", "--once", "--interval", 0.2)
    assert shown.returncode == 0, shown.stderr
    (memory,) = (line for line in shown.stdout.splitlines() if line.startswith("memory"))
    assert memory.split()[:6] == ["memory", "7.8", "KiB", "75%", "6", "60%"]
    assert "ssd: /kv" in shown.stdout
    assert "1 found and computed since that is faster" in shown.stdout
    said = run(f"localhost:{port}", "--once", "--json", "--interval", 0.2)
    assert json.loads(said.stdout)["tiers"]["ssd"]["corrupted"] == 1


def test_a_server_without_tiers_is_told_what_to_do() -> None:
    with serving(Served(has_tiers=False)) as port:
        shown = run(f"localhost:{port}", "--once")
    assert shown.returncode == 3
    assert "tiermem serving options" in shown.stderr


def test_a_server_that_is_away_is_an_error_once() -> None:
    with serving(Served()) as port:
        pass
    shown = run(f"localhost:{port}", "--once")
    assert shown.returncode == 4
    assert shown.stderr.startswith(f"tiermem: http://localhost:{port}/metrics: no answer")
    assert shown.stderr.count("\n") == 1


@pytest.mark.usefixtures("sigint")
def test_it_goes_on_when_the_server_is_back_and_ends_on_ctrl_c() -> None:
    served = Served()
    served.works()
    with serving(served) as port:
        watch = subprocess.Popen(
            typed(f"localhost:{port}", "--json", "--interval", 0.2),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["tokens"]["restored"] == 256
    lines = map(json.loads, watch.stdout)
    assert any("no answer" in line.get("trouble", "") for line in lines)
    with serving(served, port):
        assert any(line.get("interval_s") for line in lines)
    watch.send_signal(signal.SIGINT)
    watch.stdout.close()
    assert watch.wait(10) == 0


@pytest.mark.usefixtures("sigint")
def test_the_live_table_says_that_it_waits() -> None:
    with serving(Served()) as port:
        pass
    screen, terminal = os.openpty()
    watch = subprocess.Popen(
        typed(f"localhost:{port}", "--interval", 0.2), stdout=terminal, env=WIDE
    )
    os.close(terminal)
    said = ""
    while "asking again every 0.2 s" not in said:
        said += os.read(screen, 4096).decode()
    assert "is the server up?" in said
    watch.send_signal(signal.SIGINT)
    assert watch.wait(10) == 0
    os.close(screen)
