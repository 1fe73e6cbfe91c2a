"""Which arenas this host's processes have: a file for each, in /run or the user's own folder.

The file is written by the process whose arena it is: four counters, which it goes on
writing to through a mapping, then what does not change, as JSON. Others read it. It goes
with the arena; what a process that was killed left behind is removed by the next one
that looks or makes an arena.
"""

from __future__ import annotations

import itertools
import mmap
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from tiermem.errors import KernelError
from tiermem.layer.pool.local import default_run_dir as pool_run_dir
from tiermem.layer.pool.local import is_running, process_identity

_SUFFIX = ".arena"
_COUNTERS_BYTES = 64
# A file in another user's folder may be anything.
_FILE_MAX_BYTES = 1 << 16

_numbers = itertools.count()


class EmulatedFigures(BaseModel):
    """What is stated of an emulated tier."""

    model_config = ConfigDict(frozen=True)

    bandwidth_Bps: int  # noqa: N815
    latency_ns: int

    def __str__(self) -> str:
        return f"emulated {self.bandwidth_Bps / 1e9:g} GB/s {self.latency_ns} ns"


class SharedPlace(BaseModel):
    """Where in which pool a shared arena lies, and as which host it is used."""

    model_config = ConfigDict(frozen=True)

    pool: str
    area: str
    host: int


class Description(BaseModel):
    """What does not change of an arena. `tier`: its place of `tiers` (0 is fastest), or None:
    nodes were named that are of no one tier, or it is in a pool."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int
    address: int
    tier: int | None
    tiers: int
    nodes: tuple[int, ...]
    emulated: EmulatedFigures | None
    shared: SharedPlace | None

    @property
    def where(self) -> str:
        """In words, the figures of an emulated tier first."""
        if self.shared is not None:
            place = f"pool {self.shared.pool} as host {self.shared.host}"
        else:
            place = f"{self._tier} (nodes {', '.join(map(str, self.nodes))})"
        return f"{self.emulated} on {place}" if self.emulated else place

    @property
    def _tier(self) -> str:
        if self.tier is None:
            return "no one tier"
        if self.tiers == 1:
            return "the only tier"
        ends = {0: ", the fastest", self.tiers - 1: ", the slowest"}
        return f"tier {self.tier}{ends.get(self.tier, '')}"


class Usage(BaseModel):
    """What changes: bytes handed out now, the most ever, and in how many buffers they are."""

    model_config = ConfigDict(frozen=True)

    used_bytes: int
    peak_bytes: int
    buffers: int


class Listed(BaseModel):
    """An arena of a living process."""

    model_config = ConfigDict(frozen=True)

    pid: int
    description: Description
    usage: Usage


def default_run_dir() -> Path:
    """Root's folder for root, an ordinary user's own for others."""
    return pool_run_dir().with_name("arena")


class Registration:
    """This process' file about one arena. Calls may not overlap: the arena has a lock."""

    def __init__(self, description: Description, run_dir: Path | None = None) -> None:
        folder = run_dir or default_run_dir()
        identity = process_identity(os.getpid())
        assert identity is not None  # we are running
        self.path = folder / f"{identity}.{next(_numbers)}{_SUFFIX}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(folder)
            self._map = self._make(description)
        except OSError as error:
            raise KernelError(
                f"note arena {description.name} in {folder}", error.errno or 0
            ) from None
        self._counters = np.frombuffer(self._map, dtype=np.uint64, count=3)

    def _make(self, description: Description) -> mmap.mmap:
        part = self.path.with_name(f".{self.path.name}")
        part.write_bytes(bytes(_COUNTERS_BYTES) + description.model_dump_json().encode())
        with part.open("r+b") as file:
            made = mmap.mmap(file.fileno(), _COUNTERS_BYTES)
        part.replace(self.path)
        return made

    def note(self, used_bytes: int, buffers: int) -> None:
        """What is handed out now."""
        self._counters[0] = used_bytes
        self._counters[1] = max(used_bytes, int(self._counters[1]))
        self._counters[2] = buffers

    def usage(self) -> Usage:
        """What was noted last."""
        return _usage(self._counters)

    def end(self) -> None:
        """There is no such arena any more."""
        self.path.unlink(missing_ok=True)


def list_arenas(run_dir: Path | None = None) -> list[Listed]:
    """All arenas of living processes, by process: root sees every user's, others their own.

    What dead ones left in this user's own folder is removed.
    """
    own = run_dir or default_run_dir()
    sweep(own)
    folders = [own]
    if run_dir is None and os.geteuid() == 0:
        folders += sorted(Path("/run/user").glob("*/tiermem/arena"))
        folders += sorted(Path(tempfile.gettempdir()).glob("tiermem-*/arena"))
    found = [listed for folder in folders for listed in _read_folder(folder)]
    return sorted(found, key=lambda one: (one.pid, one.description.address))


def sweep(folder: Path) -> int:
    """Remove what processes that are gone left in `folder`; how many files."""
    gone = [path for path, identity in _files(folder) if not is_running(identity)]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files of arenas, those that are being written included, and whose each is."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(ValueError):
            yield path, int(path.name.lstrip(".").split(".")[0])


def _read_folder(folder: Path) -> Iterator[Listed]:
    for path, identity in _files(folder):
        if path.name.startswith(".") or not is_running(identity):
            continue
        with suppress(OSError, ValueError):  # gone meanwhile, or somebody's that is no such file
            content = _read(path)
            usage = _usage(np.frombuffer(content, dtype=np.uint64, count=3))
            description = Description.model_validate_json(content[_COUNTERS_BYTES:])
            yield Listed(pid=identity >> 40, description=description, usage=usage)


def _read(path: Path) -> bytes:
    """A regular file of the owner of the process that it is named after; OSError or ValueError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        owner = (Path("/proc") / str(int(path.name.split(".")[0]) >> 40)).stat().st_uid
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, owner):
            raise ValueError(f"{path}: is no arena's file")
        return os.read(handle, _FILE_MAX_BYTES)
    finally:
        os.close(handle)


def _usage(counters: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Usage:
    used, peak, buffers = counters.tolist()
    return Usage(used_bytes=used, peak_bytes=peak, buffers=buffers)
