"""A cgroup (v2) for each ghost: limits for its process, what it takes, and its end as a whole.

They lie beside the daemon's own, below one that was given to it: systemd does that with
`Delegate=yes` and `DelegateSubgroup=daemon` (systemd/tiermem-fork.service). Elsewhere what
can be had is had: below a cgroup with processes in it there are groups that can be ended
but neither limited nor weighed, and without the right to make any (an ordinary
container) there are none; `Cgroups.note` says so.

A group is named after the daemon that made it. Those of a daemon that has died go once
they are empty; its clones keep theirs.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import KernelError, MissingError
from tiermem.layer.pool.local import is_running, process_identity

DAEMON_GROUP = "daemon"
"""As DelegateSubgroup= names it: a cgroup with processes of its own has no limits for
others below it."""
_CONTROLLERS = ("memory", "cpu", "pids")
_NAME = re.compile(r"tiermem-(\d+)-\d+")
_CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Limits:
    """What a clone may take. None: as much as there is."""

    memory_bytes: int | None = None
    cpus: float | None = None


NO_LIMITS = Limits()


class Cgroup:
    """One that was made; `path` is its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its folder's descriptor, to start a process in it."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def limit(self, limits: Limits) -> None:
        """From now on. MissingError where the kernel does not limit that here."""
        if limits.memory_bytes is not None:
            self._set("memory.max", str(limits.memory_bytes))
        if limits.cpus is not None:
            self._set("cpu.max", f"{round(limits.cpus * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")

    def _set(self, name: str, value: str) -> None:
        try:
            _write(self.path / name, value)
        except FileNotFoundError:
            raise MissingError(
                f"cgroup {self.path}: has no {name}: a limit needs a delegated cgroup with the "
                f"daemon in {DAEMON_GROUP}/ (tiermem-fork.service shows how)"
            ) from None
        except OSError as error:
            raise KernelError(f"write {value} to {self.path / name}", error.errno or 0) from None

    def memory_bytes(self) -> int | None:
        """All memory that is charged to it, the kernel's for it included; None: not counted."""
        try:
            return int((self.path / "memory.current").read_text())
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """End every process in it."""
        with suppress(OSError):  # it is gone already, or the kernel is older than 5.14
            _write(self.path / "cgroup.kill", "1")

    def remove(self) -> None:
        """Unless there are processes in it."""
        with suppress(OSError):
            self.path.rmdir()


class Cgroups:
    """Makes them. base: the folder below which; None: there are to be none."""

    def __init__(self, base: Path | None, note: str = "") -> None:
        self.base, self.note = base, note
        self._numbers = itertools.count()
        self._identity = process_identity(os.getpid())

    @classmethod
    def find(cls, proc: Path = Path("/proc/self")) -> Cgroups:
        """Where this process may make some, controllers turned on as far as possible."""
        own = _own_folder(proc)
        if own is None:
            return cls(None, "no cgroups for clones: cgroup v2 is not mounted here")
        base = own.parent if own.name == DAEMON_GROUP else own
        if not os.access(base, os.W_OK) or _is_read_only(base):
            return cls(None, f"no cgroups for clones: {base} is not this process's to write to")
        return cls(base, _turn_on_controllers(base))

    def make(self) -> Cgroup | None:
        """A new one, empty; None where there are to be none. KernelError."""
        if self.base is None:
            return None
        group = Cgroup(self.base / f"tiermem-{self._identity}-{next(self._numbers)}")
        try:
            group.path.mkdir()
        except OSError as error:
            raise KernelError(f"make cgroup {group.path}", error.errno or 0) from None
        return group

    def find_group(self, name: str) -> Cgroup | None:
        """The one of that name, whichever daemon made it."""
        if self.base is None or not _NAME.fullmatch(name) or not (self.base / name).is_dir():
            return None
        return Cgroup(self.base / name)

    def sweep(self) -> None:
        """Remove those that are empty and will stay so: their daemon has died."""
        if self.base is None:
            return
        for path in self.base.glob("tiermem-*"):
            named = _NAME.fullmatch(path.name)
            if named and not is_running(int(named[1])):
                Cgroup(path).remove()


def _write(file: Path, text: str) -> None:
    """To a file of the kernel's, which is there or not, and cannot be made."""
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _own_folder(proc: Path) -> Path | None:
    """The folder of this process's cgroup."""
    try:
        groups = (proc / "cgroup").read_text().splitlines()
        mounts = (proc / "mounts").read_text().splitlines()
    except OSError:
        return None
    names = [line[3:] for line in groups if line.startswith("0::")]
    roots = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    for root in roots:
        for name in names:
            folder = Path(root) / name.lstrip("/")
            if folder.is_dir():
                return folder
    return None


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _turn_on_controllers(base: Path) -> str:
    """For the groups below; what is missing, as a note."""
    has = (base / "cgroup.controllers").read_text().split()
    missing = []
    for name in _CONTROLLERS:
        try:
            _write(base / "cgroup.subtree_control", f"+{name}")
        except OSError:
            missing.append(name)
    if not missing:
        return ""
    absent = [name for name in missing if name not in has]
    reason = (
        f"{base} has no controllers {', '.join(absent)}"
        if absent
        else f"{base} has processes of its own"
    )
    return f"clones can be ended whole, but not limited in {', '.join(missing)}: {reason}"
