"""Digests of large files, remembered for as long as a file is as it was.

A model's files are read once as a whole, as fast as processors allow; after that a look at what
the file system says of them is enough: size, device, inode and the moment of the last
change, which nobody can set back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

_PIECE_BYTES = 32 << 20
_READ_BYTES = 1 << 20
# Of as many files the digests are kept.
_REMEMBERED = 4096
# A file that was changed so lately may be changed again without its moment of change moving on.
_SETTLED_S = 2.0
_TOLD_BYTES = 1 << 30

log = logging.getLogger(__name__)


class Remembered(BaseModel):
    """A file as it was when it was read."""

    size: int
    inode: int
    device: int
    changed_ns: int
    digest: str


class _Memory(BaseModel):
    files: dict[str, Remembered] = {}


def digests_of(files: Sequence[Path], memory: Path | None) -> list[str]:
    """Of each, by its content alone. memory: a file, which need not be there, nor be writable;
    None: nothing is remembered. OSError for what cannot be read."""
    known = _recalled(memory) if memory else {}
    digests = {path: digest for path in files if (digest := _known(path, known))}
    unknown = sorted(set(files) - set(digests))
    total = sum(path.stat().st_size for path in unknown)
    if total >= _TOLD_BYTES:
        log.warning("reading %.0f GB of weights, once, to know them", total / 1e9)
    settled: dict[str, Remembered] = {}
    for path in unknown:
        one, is_settled = _read(path)
        digests[path] = one.digest
        if is_settled:
            settled[str(path.resolve())] = one
    if settled and memory:
        # What others have found meanwhile is kept.
        _remember(memory, _recalled(memory) | settled)
    return [digests[path] for path in files]


def _read(path: Path) -> tuple[Remembered, bool]:
    """And whether it was the same all the while, and had been for a moment."""
    begun_ns = time.time_ns()
    before = _looked_at(path)
    found = Remembered(**before, digest=_digest(path))
    is_old = before["changed_ns"] < begun_ns - _SETTLED_S * 1e9
    return found, is_old and _looked_at(path) == before


def _looked_at(path: Path) -> dict[str, int]:
    seen = path.stat()
    return {
        "size": seen.st_size,
        "inode": seen.st_ino,
        "device": seen.st_dev,
        "changed_ns": seen.st_ctime_ns,
    }


def _known(path: Path, known: dict[str, Remembered]) -> str | None:
    one = known.get(str(path.resolve()))
    if one is None or one.model_dump(exclude={"digest"}) != _looked_at(path):
        return None
    return one.digest


def _digest(path: Path) -> str:
    """Of the pieces' digests: they are made by as many threads as there are processors."""
    size = path.stat().st_size
    with path.open("rb") as file, ThreadPoolExecutor(os.cpu_count()) as threads:
        begins = range(0, max(1, size), _PIECE_BYTES)
        pieces = threads.map(lambda begin: _piece(file.fileno(), begin, size), begins)
        return hashlib.sha256(b"".join(pieces)).hexdigest()


def _piece(fd: int, begin: int, size: int) -> bytes:
    seen, at, end = hashlib.sha256(), begin, min(begin + _PIECE_BYTES, size)
    while at < end:
        data = os.pread(fd, min(_READ_BYTES, end - at), at)
        if not data:
            raise OSError(errno.EIO, "became shorter while it was read")
        seen.update(data)
        at += len(data)
    return seen.digest()


def _recalled(memory: Path) -> dict[str, Remembered]:
    try:
        return _Memory.model_validate_json(memory.read_bytes()).files
    except (OSError, ValidationError):
        return {}


def _remember(memory: Path, known: dict[str, Remembered]) -> None:
    last = dict(list(known.items())[-_REMEMBERED:])
    text = json.dumps(_Memory(files=last).model_dump())
    beside = memory.with_name(f".{memory.name}.{os.urandom(8).hex()}")
    # Without it files are read again the next time.
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text)
        beside.replace(memory)
