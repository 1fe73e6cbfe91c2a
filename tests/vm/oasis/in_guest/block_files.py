"""What a case does with a block device: commands, file systems, reads and writes past the cache."""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 4096
MOUNT = Path("/mnt/oasis")


def run(*command: str, timeout_s: float = 300) -> str:
    """What it prints; what it complains of is the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def node(number: int) -> str:
    """The block device."""
    return f"/dev/ublkb{number}"


def queue(number: int, name: str) -> str:
    """What the kernel says of it."""
    return Path(f"/sys/block/ublkb{number}/queue/{name}").read_text().strip()


def make_file_system(number: int) -> None:
    """ext4, all of it now and nothing later in the background."""
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", node(number))


@contextmanager
def mounted(number: int, folder: Path = MOUNT) -> Iterator[Path]:
    """The file system on it."""
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", node(number), str(folder))
    try:
        yield folder
    finally:
        run("umount", str(folder))


class Direct:
    """A block device, or a drive, past the page cache."""

    def __init__(self, path: str | Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)
        self._memory = mmap.mmap(-1, 1 << 20)

    def read(self, at: int, size: int) -> bytes:
        assert os.preadv(self.fd, [memoryview(self._memory)[:size]], at) == size
        return self._memory[:size]

    def write(self, at: int, data: bytes) -> None:
        self._memory[: len(data)] = data
        assert os.pwritev(self.fd, [memoryview(self._memory)[: len(data)]], at) == len(data)

    def flush(self) -> None:
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
