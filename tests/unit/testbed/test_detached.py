"""State of background pods: names, and supervisors that are no more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tiermem.errors import ConfigError
from tiermem.testbed import detached
from tiermem.testbed.guest import GuestFiles


@pytest.fixture(autouse=True)
def own_runtime_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State files that only this test sees."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def publish(supervisor_pid: int, name: str = "mine") -> detached.State:
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
    files = GuestFiles("a", path, path, path, path, path, path, path, path)
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
