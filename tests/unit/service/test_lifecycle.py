"""A real process and real signals: the clean-up runs, once, to its end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

DAEMON = """
import asyncio
from tiermem.service.lifecycle import run_until_signalled

async def main():
    print("up", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("restoring", flush=True)
        await asyncio.sleep(0.2)
        print("restored", flush=True)

run_until_signalled(main(), reload=lambda: print("reload", flush=True))
print("end", flush=True)
"""


def _start() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_clean_up_even_when_repeated(number: signal.Signals) -> None:
    process = _start()
    assert process.stdout is not None
    process.send_signal(number)
    assert process.stdout.readline() == "restoring\n"
    process.send_signal(number)
    rest, _ = process.communicate(timeout=10)
    assert (rest, process.returncode) == ("restored\nend\n", 0)


def test_a_hangup_reloads_and_goes_on() -> None:
    process = _start()
    assert process.stdout is not None
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "reload\n"
    process.terminate()
    assert process.communicate(timeout=10)[0].endswith("end\n")


def test_a_failure_is_not_hidden() -> None:
    script = DAEMON.replace('print("up", flush=True)', 'raise RuntimeError("broken")')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "broken" in done.stderr
