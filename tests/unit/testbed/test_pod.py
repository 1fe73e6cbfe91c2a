"""How pods end when something goes wrong, with a stand-in for QEMU and its guest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tiermem.testbed import Pod, boot, booting, build, guest, load_topology, pod
from tiermem.testbed.artifacts import Artifacts
from tiermem.testbed.errors import (
    BootError,
    CommandTimeoutError,
    GuestCrashedError,
    GuestHungError,
)
from tiermem.testbed.qemu import Qemu, start

from tests.unit.testbed.test_machine import IMAGE

FAKE = Path(__file__).with_name("fake_qemu.py")


@pytest.fixture
def run_dirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Path]]]:
    """What is left of the folders of pods, of which only this test has any."""
    # Not tmp_path, whose name may be too long for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="pods-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield lambda: list(Path(folder).glob("tiermem-*/pod-*"))


@pytest.fixture
def booted(
    run_dirs: object, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], contextlib.AbstractContextManager[Pod]]:
    """Boots one host whose QEMU is of the given mood."""

    @contextlib.contextmanager
    def boot_one(mood: str) -> Iterator[Pod]:
        qemu = Qemu((sys.executable, str(FAKE), mood), {}, (11, 0))
        testbed = build.Testbed(qemu, IMAGE, Path("/src"), Artifacts(None, None, {}, None))
        monkeypatch.setattr(pod, "build", lambda *_, **__: testbed)
        with boot(load_topology("one-host"), boot_timeout_s=1) as running:
            yield running

    return boot_one


Booted = Callable[[str], contextlib.AbstractContextManager[Pod]]
RunDirs = Callable[[], list[Path]]


def named_log(error: BaseException) -> str:
    """The content of the serial log that an error names."""
    return Path(str(error).rpartition("serial log: ")[2]).read_text()


def test_a_pod_that_ends_well_leaves_nothing(booted: Booted, run_dirs: RunDirs) -> None:
    with booted("ready") as running:
        running["a"].check(["bytes"])
    assert run_dirs() == []


def test_a_qemu_that_does_not_start_is_an_error_with_its_words(booted: Booted) -> None:
    with pytest.raises(BootError, match="guest a: QEMU did not start: no such device"):
        booted("exits").__enter__()


def test_a_guest_that_is_not_ready_in_time_is_an_error_with_its_log(booted: Booted) -> None:
    with pytest.raises(BootError, match="guest a: not ready after 1 s") as caught:
        booted("silent").__enter__()
    assert named_log(caught.value) == "Linux version 7.3\n"


def test_units_that_never_start_are_an_error_with_the_log(
    booted: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booting, "_READY_S", 0.1)
    with pytest.raises(BootError, match=r"systemctl is-system-running .*killed after") as caught:
        booted("unready").__enter__()
    assert named_log(caught.value) == "Linux version 7.3\n"


def test_the_log_of_a_crash_outlives_the_pod_also_if_the_pod_goes_on(booted: Booted) -> None:
    """As where many tests share a pod: the one that crashes it is not the one that ends it."""
    with booted("ready") as running, pytest.raises(GuestCrashedError) as caught:
        running["a"].exec(["die"])
    assert named_log(caught.value) == "Linux version 7.3\n"


def test_the_log_of_a_hang_outlives_the_pod_also_if_the_pod_goes_on(
    booted: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "_KILL_WAIT_S", 0.1)
    with booted("ready") as running, pytest.raises(GuestHungError) as caught:
        running["a"].exec(["deaf"], timeout_s=0.1)
    assert named_log(caught.value) == "Linux version 7.3\n"


def test_a_command_that_takes_too_long_is_no_reason_to_keep_anything(
    booted: Booted, run_dirs: RunDirs
) -> None:
    with booted("ready") as running, pytest.raises(CommandTimeoutError, match="killed after 0 s"):
        running["a"].exec(["hang"], timeout_s=0.1)
    assert run_dirs() == []


def test_output_is_bytes_of_which_text_is_a_view(booted: Booted) -> None:
    with booted("ready") as running:
        done = running["a"].check(["bytes"])
    assert (done.output, done.errors) == (b"\xff\0\r\n", b"\x80")
    assert (done.stdout, done.stderr) == ("\ufffd\0\r\n", "\ufffd")


def test_a_host_is_killed_and_booted_again(booted: Booted, run_dirs: RunDirs) -> None:
    with booted("ready") as running:
        first = running["a"]
        with pytest.raises(GuestCrashedError):
            first.exec(["die"])
        again = running.reboot("a")
        assert running["a"] is again
        assert again.check(["bytes"]).status == 0
        running.reboot("a")
        assert running["a"].crashed() is None
        assert again.crashed() is not None
    assert run_dirs() == []


def test_ctrl_c_while_qemu_is_being_started_leaves_none(
    booted: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start_slowly(qemu: Qemu, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        started.append(start(qemu, arguments, log))
        return started[0]

    monkeypatch.setattr(booting, "start", start_slowly)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            booted("ready").__enter__()
    finally:
        signal.signal(signal.SIGINT, before)
    assert started[0].returncode == -signal.SIGKILL
