"""State of background pods: names, and supervisors that are no more."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tiermem.cli.testbed import app
from tiermem.errors import ConfigError
from tiermem.testbed import Completed, detached
from tiermem.testbed.guest import GuestFiles
from typer.testing import CliRunner


@pytest.fixture(autouse=True)
def own_runtime_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State files that only this test sees."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def publish(
    supervisor_pid: int, name: str = "mine", control_socket: Path = Path("/run")
) -> detached.State:
    """A pod's state file, as a supervisor writes it."""
    order = detached.Order(
        pod=name,
        topology="one-host",
        settings={"dram": "512M", "cpus": 1},
        kernel="lts",
        time="wall",
        plugin=False,
        plugin_parameters={},
        out_dir=None,
    )
    path = Path("/run")
    files = GuestFiles("a", path, path, control_socket, path, path, path, path, path)
    state = detached.State(order=order, supervisor_pid=supervisor_pid, guests={"a": files})
    detached.state_file(name).write_text(state.model_dump_json())
    return state


def test_state_survives_being_written_and_read() -> None:
    state = publish(1)
    text = detached.state_file("mine").read_text()
    assert detached.State.model_validate_json(text) == state


def test_a_pod_whose_supervisor_is_another_process_is_not_up() -> None:
    """Its pid may have been given to somebody else since."""
    publish(1)
    assert detached.pods_up() == []
    assert not detached.state_file("mine").exists()


def test_a_pod_whose_supervisor_runs_is_up() -> None:
    script = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, "tiermem.testbed.supervisor"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        state = publish(supervisor.pid)
        assert detached.pods_up() == [state]
        assert detached.find("mine") == state
        supervisor.kill()
    assert detached.pods_up() == []


# A supervisor that ends on SIGKILL only, and what stands for its QEMU, half a second later.
STUBBORN = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
supervisor = os.getpid()
control = socket.socket(socket.AF_UNIX)
control.bind(sys.argv[2])
control.listen()
if os.fork() == 0:
    while os.getppid() == supervisor:
        time.sleep(0.01)
    time.sleep(0.5)
    os._exit(0)
control.close()
print(flush=True)
time.sleep(1000)
"""


def test_guests_are_gone_after_down_even_if_the_supervisor_had_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "_STOP_S", 2.0)
    control = tmp_path / "control.sock"
    command = [sys.executable, "-c", STUBBORN, "tiermem.testbed.supervisor", str(control)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        publish(supervisor.pid, control_socket=control)
        detached.down("mine")
        with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(control))
    assert detached.pods_up() == []


def test_exec_writes_the_commands_output_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers:
        def exec(self, *_: object, **__: object) -> Completed:
            return Completed(3, b"\xff\0\r\n", b"\x80")

    monkeypatch.setattr(detached, "find", lambda _: None)
    monkeypatch.setattr(detached, "attach", lambda *_: contextlib.nullcontext(Answers()))
    ran = CliRunner().invoke(app, ["exec", "--", "true"])
    assert (ran.exit_code, ran.stdout_bytes, ran.stderr_bytes) == (3, b"\xff\0\r\n", b"\x80")


def test_pods_that_are_not_up_are_named() -> None:
    with pytest.raises(ConfigError, match=r"pod 'mine' is not up \(up: none\)"):
        detached.find("mine")


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="pod 'mine' has no host 'b': a"):
        detached.guest_files(publish(1), "b")


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a" * 40])
def test_names_that_cannot_be_files(name: str) -> None:
    with pytest.raises(ConfigError, match="small letters"):
        detached.state_file(name)
