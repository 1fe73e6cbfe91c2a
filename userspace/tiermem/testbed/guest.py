"""A running guest: commands, their output, and what becomes of them when it crashes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tiermem.testbed.channel import Channel, ChannelClosedError, ChannelTimeoutError
from tiermem.testbed.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestCrashedError,
    GuestHungError,
)
from tiermem.testbed.machine import nic_id
from tiermem.testbed.run_control import RunControl
from tiermem.testbed.serial import last_words

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
_POLL_MIN_S, _POLL_MAX_S = 0.005, 0.05
_KILL_WAIT_S = 60.0
_SHOWN_CHARS = 4000
# A session may hold several process groups (`timeout` makes one). The main one is killed
# once more as a whole, so that nothing escapes which it forked while pkill was looking.
_KILL_SESSION = 'pkill -KILL --session "$0"; kill -s KILL -- "-$0"'


@dataclasses.dataclass(frozen=True)
class Completed:
    """A finished command: its exit status, or 128 + signal as shells have it, and its output.

    output and errors are what it wrote, byte for byte; stdout and stderr are the same as
    text, with what is no UTF-8 replaced.
    """

    status: int
    output: bytes
    errors: bytes

    @functools.cached_property
    def stdout(self) -> str:
        """Standard output as text."""
        return self.output.decode(errors="replace")

    @functools.cached_property
    def stderr(self) -> str:
        """Standard error output as text."""
        return self.errors.decode(errors="replace")


@dataclasses.dataclass(frozen=True)
class GuestFiles:
    """Where on the host a guest's sockets, logs and shared folders are."""

    name: str
    serial_log: Path
    agent_socket: Path
    control_socket: Path
    console_socket: Path
    exec_dir: Path
    out_dir: Path
    bar_path: Path
    pac_path: Path


class Guest:
    """One host of a pod, as the outside sees it.

    `alive` says whether its QEMU still runs. Several threads may use one guest.
    `hung` is set once it did not answer any more.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        files: GuestFiles,
        agent: Channel,
        monitor: Channel,
        alive: Callable[[], bool],
        running: RunControl,
    ) -> None:
        self.files = files
        self.name = files.name
        self.serial_log = files.serial_log
        self.out_dir = files.out_dir
        self.bar_path = files.bar_path
        self.pac_path = files.pac_path
        self.hung = False
        self._agent = agent
        self._monitor = monitor
        self._alive = alive
        self._running = running

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
    ) -> Completed:
        """Run a command as root in the guest and wait for it.

        timeout_s is wall time on the host; then the command and all of its session
        are killed and CommandTimeoutError is raised. GuestCrashedError or
        GuestHungError, naming the serial log, if the guest dies meanwhile.
        """
        token = f"{os.getpid()}-{next(self._numbers)}"
        files = {kind: self.files.exec_dir / f"{token}.{kind}" for kind in _KINDS}
        files["in"].write_bytes(stdin)
        variables = {**_ENVIRONMENT, **(env or {})}
        words = [token, cwd, *(f"{key}={value}" for key, value in variables.items()), *command]
        try:
            with self._running:
                self._ask("guest-exec", {"path": "/usr/local/lib/tiermem/run", "arg": words})
                status = self._wait_for(files, shlex.join(command), timeout_s)
            return Completed(status, _content(files["out"]), _content(files["err"]))
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)

    def check(
        self,
        command: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
    ) -> Completed:
        """Like `exec`, but a status other than 0 is a CommandFailedError with the output."""
        done = self.exec(command, timeout_s=timeout_s, stdin=stdin, env=env, cwd=cwd)
        if done.status != 0:
            output = (done.stderr.strip() or done.stdout.strip())[-_SHOWN_CHARS:]
            raise CommandFailedError(
                f"guest {self.name}: {shlex.join(command)}: status {done.status}: {output}"
            )
        return done

    def pause(self) -> None:
        """Stop the guest's processors and its clock; commands wait until `resume`."""
        self._running.hold()

    def resume(self) -> None:
        """Undo `pause`."""
        self._running.release()

    def set_link(self, nic: int, *, up: bool) -> None:
        """Pull the cable of a NIC on the pod's segment (numbered from 0), or plug it in."""
        self._monitor.execute("set_link", {"name": nic_id(nic), "up": up})

    def detach(self) -> None:
        """Leave the agent to another process; this one can run no more commands."""
        self._agent.close()

    def crashed(self) -> GuestCrashedError | None:
        """What happened, if the guest's kernel or QEMU has ended."""
        if self._alive():
            return None
        return GuestCrashedError(self.name, last_words(self.serial_log), self.serial_log)

    def _ask(self, command: str, arguments: dict[str, object]) -> object:
        try:
            return self._agent.execute(command, arguments)
        except (ChannelClosedError, ChannelTimeoutError) as error:
            raise self._dead_or_hung(error) from error

    def _dead_or_hung(self, error: Exception) -> GuestCrashedError:
        # The socket closes a moment before the process is gone.
        for _ in range(20):
            crashed = self.crashed()
            if crashed is not None:
                return crashed
            time.sleep(0.05)
        return self._hung(f"does not answer ({error})")

    def _hung(self, how: str) -> GuestHungError:
        self.hung = True
        return GuestHungError(self.name, how, self.serial_log)

    def _wait_for(self, files: Mapping[str, Path], command: str, timeout_s: float) -> int:
        status = self._poll_status(files["status"], timeout_s)
        if status is not None:
            return status
        stdout, stderr = _text(files["out"]), _text(files["err"])
        pid = _text(files["pid"]).strip()
        if pid:
            self._ask("guest-exec", {"path": "/bin/sh", "arg": ["-c", _KILL_SESSION, pid]})
        if not pid or self._poll_status(files["status"], _KILL_WAIT_S) is None:
            raise self._hung(f"{command}: does not run, nor can it be killed")
        said = (stderr.strip() or stdout.strip())[-_SHOWN_CHARS:]
        raise CommandTimeoutError(
            f"guest {self.name}: {command}: killed after {timeout_s:.0f} s"
            + (f"; it had said: {said}" if said else "")
        )

    def _poll_status(self, file: Path, timeout_s: float) -> int | None:
        """The status once the file has it; only the host's file system is asked, often."""
        deadline = time.monotonic() + timeout_s
        pause = _POLL_MIN_S
        while True:
            text = _text(file)
            if text.endswith("\n"):
                return int(text)
            crashed = self.crashed()
            if crashed is not None:
                raise crashed
            if time.monotonic() > deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 1.3, _POLL_MAX_S)


_KINDS = ("in", "out", "err", "pid", "status")


def _content(file: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def _text(file: Path) -> str:
    return _content(file).decode(errors="replace")
