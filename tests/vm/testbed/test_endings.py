"""How guests end: a panic, a hang, a killed parent, a pod in the background."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiermem.testbed import boot, load_topology
from tiermem.testbed.channel import Channel
from tiermem.testbed.errors import BootError, GuestCrashedError, GuestHungError
from tiermem.testbed.run_dirs import runtime_root

from tests.vm.testbed.qemu_processes import qemus_of, supervisors_of

TIERMEM = [sys.executable, "-c", "from tiermem.cli.main import main; main()"]
SMALL = {"cpus": 1, "dram": "512M", "cxl": "256M"}
SMALL_UP = [
    *("--kernel", "lts", "--no-plugin"),
    *(word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")),
]
# A shell that starts a job in the background has it ignore SIGINT.
PARENT = f"""
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from tiermem.testbed import boot, load_topology
with boot(load_topology("one-host", **{SMALL!r}), kernel="lts") as pod:
    print(pod.run_dir, flush=True)
    time.sleep(1000)
"""


def first_of(look: Callable[[], list[int]]) -> int:
    """The first process that `look` finds, within a minute."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]


def wait_until_none(look: Callable[[], list[int]]) -> None:
    """Fails if `look` still finds processes after a minute."""
    deadline = time.monotonic() + 60
    while found := look():
        assert time.monotonic() < deadline, f"they still run: {found}"
        time.sleep(0.1)


def wait_until_gone(run_dir: Path) -> None:
    """Fails if a QEMU of the pod is there after a minute."""
    wait_until_none(lambda: qemus_of(run_dir))


def test_a_panic_is_an_error_that_names_the_serial_log() -> None:
    with (
        pytest.raises(GuestCrashedError, match="sysrq triggered crash") as caught,
        boot(load_topology("one-host", **SMALL), kernel="lts") as pod,
    ):
        pod["a"].exec(["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 100"])
    assert "Kernel panic" in caught.value.serial_log.read_text()
    assert str(caught.value.serial_log) in str(caught.value)
    wait_until_gone(pod.run_dir)


def test_a_guest_that_is_not_ready_in_time_is_an_error_that_names_the_serial_log() -> None:
    with (
        pytest.raises(BootError, match="not ready after 1 s; serial log: ") as caught,
        boot(load_topology("one-host", **SMALL), kernel="lts", boot_timeout_s=1),
    ):
        pass
    serial_log = Path(str(caught.value).rpartition("serial log: ")[2])
    assert serial_log.exists()
    wait_until_gone(serial_log.parent)


def test_a_guest_that_hangs_is_an_error_and_ends_with_its_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = Channel.execute

    def impatient(channel: Channel, command: str, arguments: Any = None) -> Any:
        return patient(channel, command, arguments, timeout_s=5.0)

    with (
        pytest.raises(GuestHungError, match="does not answer") as caught,
        boot(load_topology("one-host", **SMALL), kernel="lts") as pod,
    ):
        (qemu,) = qemus_of(pod.run_dir)
        os.kill(qemu, signal.SIGSTOP)
        monkeypatch.setattr(Channel, "execute", impatient)
        pod["a"].exec(["true"])
    assert str(caught.value.serial_log) in str(caught.value)
    wait_until_gone(pod.run_dir)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_a_parent_that_ends_leaves_no_qemu(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        run_dir = Path(parent.stdout.readline().strip())
        assert len(qemus_of(run_dir)) == 1
        parent.send_signal(number)
    wait_until_gone(run_dir)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_up_that_is_killed_while_its_pod_boots_leaves_no_qemu(number: signal.Signals) -> None:
    pod = f"killed-{os.getpid()}"
    command = [*TIERMEM, "testbed", "up", "one-host", "--pod", pod, *SMALL_UP]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as up:
        supervisor = first_of(lambda: supervisors_of(pod))
        run_dirs = runtime_root() / f"pod-{supervisor}-"
        first_of(lambda: qemus_of(run_dirs))
        up.send_signal(number)
    wait_until_gone(run_dirs)
    wait_until_none(lambda: supervisors_of(pod))


def typed_into_a_shell(pod: str, text: str, awaited: str) -> str:
    """What `tiermem testbed shell` shows on a terminal of its own, until it shows `awaited`."""
    ours, its = pty.openpty()
    shown = ""
    with subprocess.Popen(
        [*TIERMEM, "testbed", "shell", "--pod", pod], stdin=its, stdout=its, stderr=its
    ) as shell:
        os.close(its)
        deadline = time.monotonic() + 60
        while awaited not in shown and time.monotonic() < deadline:
            if "# " in shown and text:
                os.write(ours, text.encode())
                text = ""
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")
        os.write(ours, b"\x1d")
        assert shell.wait(60) == 0, shown
    os.close(ours)
    return shown


def test_a_pod_in_the_background() -> None:
    def testbed(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [*TIERMEM, "testbed", *words]
        return subprocess.run(command, capture_output=True, text=True, input=stdin)

    pod = f"test-{os.getpid()}"
    up = testbed("up", "one-host", "--pod", pod, *SMALL_UP)
    assert up.returncode == 0, up.stderr
    try:
        assert pod in testbed("status").stdout
        ran = testbed("exec", "--pod", pod, "--", "sh", "-c", "cat; echo e >&2; exit 3", stdin="in")
        assert (ran.returncode, ran.stdout, ran.stderr) == (3, "in", "e\n")
        assert "answer 42" in typed_into_a_shell(pod, "echo answer $((6 * 7))\n", "answer 42")
        again = testbed("up", "--pod", pod)
        assert again.returncode == 2
        assert "is up already" in again.stderr
    finally:
        down = testbed("down", "--pod", pod)
    assert down.returncode == 0, down.stderr
    assert pod not in testbed("status").stdout
    gone = testbed("exec", "--pod", pod, "--", "true")
    assert gone.returncode == 2
    assert "is not up" in gone.stderr
