"""The testbed's cache: stages named by the hash of what they are made from.

A stage lies at `<cache>/<name>/<digest>` and is complete or absent: it is built
in a folder beside it and renamed. A lock a stage keeps two processes from
building the same thing, so the second waits and then finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tiermem.service.user_cache import user_cache
from tiermem.testbed.namespace import remove_tree

_DIGEST_CHARS = 16


def digest_of(*parts: str | bytes) -> str:
    """A short hash of the parts, in order; parts cannot run into each other."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:_DIGEST_CHARS]


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """A short hash of names (relative to root) and contents."""
    parts: list[str | bytes] = []
    for file in sorted(files):
        parts += [str(file.relative_to(root)), file.read_bytes()]
    return digest_of(*parts)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created and stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def stage(name: str, digest: str, build: Callable[[Path], None], *, keep: int = 3) -> Path:
    """The folder of a stage, built by `build(empty folder)` if it is not there.

    Of each stage the `keep` most recently used are kept.
    """
    folder = user_cache() / name
    done = folder / digest
    if not done.is_dir():
        with locked(folder / f".{digest}.lock"):
            if not done.is_dir():
                _build_and_rename(folder, done, build)
        with locked(folder / ".forget.lock"):
            _forget_old(folder, keep)
    with contextlib.suppress(OSError):
        os.utime(done)
    return done


def _build_and_rename(folder: Path, done: Path, build: Callable[[Path], None]) -> None:
    scratch = folder / f".{done.name}.part"
    if scratch.exists():
        remove_tree(scratch)
    scratch.mkdir(parents=True)
    try:
        build(scratch)
        scratch.rename(done)
    except BaseException:
        remove_tree(scratch)
        raise


def _forget_old(folder: Path, keep: int) -> None:
    stages = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    stages.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in stages[keep:]:
        remove_tree(old)


def free_bytes(path: Path) -> int:
    """Free space of the file system that will hold `path` (which need not exist)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
