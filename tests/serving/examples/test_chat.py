"""examples/chat as a user calls it: histories come back, nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
# Servers on a machine that does other things as well.
START_S = 500
# It would go on for much longer than it takes to look at it.
LONG = ("--users", "4", "--turns", "5", "--answer-tokens", "60", "--no-compare")


def command(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "examples/chat"), "--start-s", str(START_S), *words]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of temporary files of its own, of a short name: there are sockets in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def environment(scratch: Path) -> dict[str, str]:
    """Without what tests in one process set."""
    made = {**os.environ, "COLUMNS": "120", "TMPDIR": str(scratch)}
    made.pop("VLLM_LOGGING_LEVEL", None)
    return made


@pytest.fixture
def sigint() -> Iterator[None]:
    """Background jobs of a script ignore it, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def servers() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("TIERMEM_TEST") == str(os.getpid()):
            found.append(process)
    return found


@pytest.mark.timeout(1200)
def test_histories_come_back_and_answers_are_the_same(
    environment: dict[str, str], scratch: Path
) -> None:
    """The engine holds fewer tokens than three users say in their first turn."""
    done = subprocess.run(
        command("--users", "4", "--turns", "2", "--answer-tokens", "8", "--memory", "16MiB"),
        capture_output=True,
        text=True,
        env=environment,
        timeout=1100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"(\d+) from memory, (\d+) from ssd", done.stdout)
    assert kept is not None, done.stdout
    # 16 MiB are 11 blocks: one history, so that the others come from SSD.
    assert int(kept[2]) > 0
    assert "the same answers: 8 of 8" in done.stdout
    assert list(scratch.iterdir()) == []


def check_top(address: re.Match[str] | None) -> None:
    """`tiermem serving top`, of a real server with tiers."""
    assert address is not None
    shown = subprocess.run(
        [sys.executable, "-m", "tiermem.cli", "serving", "top", address[1], "--once", "--json"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    seen = json.loads(shown.stdout)
    assert list(seen["tiers"]) == ["memory", "ssd"]
    assert 0 < seen["tiers"]["memory"]["used_bytes"] <= seen["tiers"]["memory"]["capacity_bytes"]
    assert seen["tokens"]["computed"] > 0
    assert seen["ttft"]["requests"] >= 1
    assert None not in seen["engine"].values()


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("when", ["starting", "chatting"])
def test_ctrl_c_ends_the_server_too(environment: dict[str, str], scratch: Path, when: str) -> None:
    environment["TIERMEM_TEST"] = str(os.getpid())
    screen, terminal = os.openpty()
    chat = subprocess.Popen(command(*LONG), stdout=terminal, env=environment)
    os.close(terminal)
    said = ""
    while ("s (log:" if when == "starting" else "the night train") not in said:
        said += os.read(screen, 4096).decode(errors="replace")
    assert len(servers()) >= 2
    if when == "chatting":
        check_top(re.search(r"serving top (http://\S+)", said))
    chat.send_signal(signal.SIGINT)
    assert chat.wait(180) == 130
    os.close(screen)
    deadline_s = time.monotonic() + 10
    while servers() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert servers() == []
    assert list(scratch.iterdir()) == []
