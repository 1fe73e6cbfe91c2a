"""What the processes of one host agree on about a pool, in files that other hosts never see.

In /run, so that all of it is gone after a boot: a lock, since one host's calls must
not overlap; for each process, that it has the pool open, so that the first one knows
to begin anew, and which extents it holds, so that what a killed one held can be
given back.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tiermem.errors import KernelError, NoRightError


def default_run_dir() -> Path:
    """Root's folder for root, an ordinary user's own for others: below $XDG_RUNTIME_DIR or
    /run/user, or, for users who never logged in (services, containers), below the folder of
    temporary files. NoRightError where somebody else has made that one."""
    if os.geteuid() == 0:
        return Path("/run/tiermem/pool")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}"))
    if runtime.is_dir():
        return runtime / "tiermem/pool"
    return _own_temporary_folder() / "pool"


def _own_temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tiermem-{os.geteuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise NoRightError(f"{folder}: is not this user's folder; set XDG_RUNTIME_DIR to one")
    return folder


@dataclass(frozen=True, order=True, slots=True)
class ExtentId:
    """Which extent, in which of its entry's lives."""

    host: int
    entry: int
    generation: int


def process_identity(pid: int, proc: Path = Path("/proc")) -> int | None:
    """A number for a process that no other will have until the next boot; None: it is gone.

    pid << 40 | its start in clock ticks since boot, modulo 2^40. A process whose first thread
    has ended is there until its others have: until then they use its memory and its files.
    """
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # proc_pid_stat(5): state, num_threads and starttime; the first two fields are left out.
    state, threads, start_ticks = fields[0], int(fields[17]), int(fields[19])
    if state in "ZX" and threads <= 1:
        return None
    return pid << 40 | start_ticks & (1 << 40) - 1


def is_running(identity: int) -> bool:
    """Whether the process with that identity still is."""
    return process_identity(identity >> 40) == identity


class LocalState:
    """The folder of one pool and host; made when it is first needed."""

    def __init__(self, uuid: UUID, host: int, run_dir: Path | None = None) -> None:
        self._folder = (run_dir or default_run_dir()) / f"{uuid}.{host}"
        identity = process_identity(os.getpid())
        assert identity is not None  # we are running
        self.identity = identity
        self._held: dict[int, Counter[ExtentId]] = defaultdict(Counter)
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._handle = -1

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone on this host: among its processes, and among this one's threads."""
        with self._thread_lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._lock_file()
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._handle >= 0:
                    os.close(self._handle)
                    self._handle = -1

    def _lock_file(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(
                self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        except OSError as error:
            raise KernelError(f"lock {self._folder}", error.errno or 0) from None

    def is_open(self) -> bool:
        """Whether a living process of this host has the pool open; forgets those that are gone."""
        found = False
        for file in self._folder.glob("open.*"):
            if is_running(int(file.suffix[1:])):
                found = True
            else:
                file.unlink(missing_ok=True)
        return found

    def note_open(self, identity: int | None = None) -> None:
        """This process, or the one of that identity, has it open."""
        (self._folder / f"open.{identity or self.identity}").touch(mode=0o600)

    def note_closed(self) -> None:
        """This one has not any more."""
        (self._folder / f"open.{self.identity}").unlink(missing_ok=True)
        (self._folder / f"held.{self.identity}").unlink(missing_ok=True)

    def note_held(self, extent: ExtentId, identity: int | None = None) -> None:
        """This process, or the one of that identity, is about to hold it once more."""
        self._held[identity or self.identity][extent] += 1
        self._write(identity or self.identity)

    def note_let_go(self, extent: ExtentId) -> None:
        """This process has let it go once."""
        self._held[self.identity][extent] -= 1
        self._held[self.identity] += Counter()  # drops what is not held any more
        self._write(self.identity)

    def held_by_living(self) -> Counter[ExtentId]:
        """How often this host's processes hold each extent; forgets those that are gone."""
        return sum(self.held_by_process().values(), Counter())

    def held_by_process(self) -> dict[int, Counter[ExtentId]]:
        """The same for each of them, by its identity."""
        found: dict[int, Counter[ExtentId]] = {}
        for file in self._folder.glob("held.*"):
            try:
                identity = int(file.suffix[1:])
                lines = file.read_text().splitlines()
            except (OSError, ValueError):
                continue
            if not is_running(identity):
                file.unlink(missing_ok=True)
                file.with_name(f"open.{identity}").unlink(missing_ok=True)
                self._held.pop(identity, None)
                continue
            held = found.setdefault(identity, Counter())
            for line in lines:
                host, entry, generation, count = map(int, line.split())
                held[ExtentId(host, entry, generation)] += count
        return found

    def _write(self, identity: int) -> None:
        target = self._folder / f"held.{identity}"
        held = self._held[identity]
        lines = [f"{e.host} {e.entry} {e.generation} {n}\n" for e, n in held.items()]
        part = target.with_name(f".{target.name}")
        try:
            part.write_text("".join(lines))
            part.replace(target)
        except OSError as error:
            raise KernelError(f"note what is held in {target}", error.errno or 0) from None
