"""The processes that a host has restored: which there are, and how they ended.

They are not lost when the daemon ends: each lives in a container of its own, whose
first process holds the image in the pool for it. A daemon that starts again finds them
by what it saved, their cgroups included; how those end it can no longer be told.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from tiermem.cxlfork.clone_journal import SavedClone
from tiermem.cxlfork.restore import RestoredProcess
from tiermem.cxlfork.restoring.cgroups import Cgroup, Cgroups
from tiermem.errors import MissingError, TiermemError
from tiermem.layer.pool.local import is_running, process_identity

# Whoever started a clone may ask how it ended a while later.
_ENDED_REMEMBERED = 1024


@dataclass
class Clone:
    """A restored process. identity: of its container's first process (pool/local.py)."""

    identity: int
    pid: int
    image: str
    policy: str
    started_ns: int
    cgroup: Cgroup | None = None
    process: RestoredProcess | None = None

    @property
    def init_pid(self) -> int:
        """Of its container's first process, which ends with it."""
        return self.identity >> 40

    @property
    def phases_ns(self) -> dict[str, int] | None:
        """How long each phase of its restore took; None: an earlier daemon knew."""
        return None if self.process is None else self.process.phases

    def is_running(self) -> bool:
        """Whether it still is."""
        return is_running(self.identity)

    def end(self) -> None:
        """Kill it and all that it started."""
        if not self.is_running():
            return
        if self.cgroup is not None:
            self.cgroup.kill()
        with suppress(ProcessLookupError):
            os.kill(self.init_pid, signal.SIGKILL)

    def saved(self) -> SavedClone:
        """What the journal has of it."""
        return SavedClone(
            identity=self.identity,
            pid=self.pid,
            image=self.image,
            policy=self.policy,
            started_ns=self.started_ns,
            cgroup=self.cgroup.path.name if self.cgroup else "",
        )


class Clones:
    """All restored processes of this host that have not ended. For several threads."""

    def __init__(self, limit: int, cgroups: Cgroups, saved: Iterable[SavedClone] = ()) -> None:
        self._limit = limit
        self._by_pid: dict[int, Clone] = {}
        self._ended: dict[int, int] = {}
        self._lock = threading.RLock()
        for one in saved:
            cgroup = cgroups.find_group(one.cgroup)
            clone = Clone(**one.model_dump(exclude={"cgroup"}), cgroup=cgroup)
            if clone.is_running():
                self._by_pid[clone.pid] = clone

    def check_room(self, count: int) -> None:
        """TiermemError where so many more would be too many."""
        with self._lock:
            if len(self._by_pid) + count <= self._limit:
                return
            running = len(self.all())
        if running + count > self._limit:
            raise TiermemError(
                f"{running} restored processes are running, and {count} more are wanted; "
                f"clones_max allows {self._limit}"
            )

    def add(self, image: str, policy: str, process: RestoredProcess) -> Clone:
        """Note a process that was just restored."""
        identity = process_identity(process.init_pid) or process.init_pid << 40
        clone = Clone(
            identity,
            process.pid,
            image,
            policy,
            started_ns=time.time_ns(),
            cgroup=process.cgroup,
            process=process,
        )
        with self._lock:
            self._ended.pop(clone.pid, None)
            self._by_pid[clone.pid] = clone
        return clone

    def all(self) -> list[Clone]:
        """Those that run, by age."""
        with self._lock:
            for clone in list(self._by_pid.values()):
                if not clone.is_running():
                    self._forget(clone, clone.process.poll() if clone.process else None)
            return sorted(self._by_pid.values(), key=lambda clone: clone.started_ns)

    def status(self, pid: int) -> int | None:
        """How one of them ended (negative: by that signal), None while it runs. MissingError;
        TiermemError where that cannot be told."""
        with self._lock:
            if pid in self._ended:
                return self._ended[pid]
            clone = self.find(pid)
            if clone.process is None:
                raise TiermemError(
                    f"process {pid}: an earlier daemon restored it; how it ends is lost"
                )
            status = clone.process.poll()
            if status is not None:
                self._forget(clone, status)
            return status

    def _forget(self, clone: Clone, status: int | None) -> None:
        del self._by_pid[clone.pid]
        if status is not None:
            self._ended[clone.pid] = status
            while len(self._ended) > _ENDED_REMEMBERED:
                del self._ended[next(iter(self._ended))]

    def find(self, pid: int) -> Clone:
        """One of them. MissingError."""
        with self._lock:
            clone = self._by_pid.get(pid)
        if clone is None:
            raise MissingError(f"process {pid}: was not restored by this daemon, or has ended")
        return clone

    def end_all(self) -> None:
        """Kill them."""
        for clone in self.all():
            clone.end()

    def saved(self) -> list[SavedClone]:
        """For the journal."""
        return [clone.saved() for clone in self.all()]
