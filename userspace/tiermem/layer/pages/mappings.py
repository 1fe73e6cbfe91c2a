"""What a process has mapped: /proc/PID/maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import KernelError, ProcessGoneError

USER_SPACE_END = 1 << 56
"""Above every user address with 5-level paging; [vsyscall] lies beyond and has no pages."""


@dataclass(frozen=True)
class Mapping:
    """Addresses from `start` up to, without, `end`, mapped as one."""

    start: int
    end: int
    permissions: str
    offset: int
    inode: int
    path: str

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.end - self.start

    @property
    def is_anonymous(self) -> bool:
        """No file behind it: heap, stack, anonymous memory."""
        return self.inode == 0


def read_mappings(pid: int, proc: Path = Path("/proc")) -> tuple[Mapping, ...]:
    """All mappings of `pid` in user space, ascending; () for a kernel thread."""
    text = read_process_file(pid, "maps", proc)
    mappings = (_parse(line) for line in text.splitlines())
    return tuple(mapping for mapping in mappings if mapping.end <= USER_SPACE_END)


def read_process_file(pid: int, name: str, proc: Path = Path("/proc")) -> str:
    """The text of /proc/`pid`/`name`; ProcessGoneError or KernelError."""
    path = proc / str(pid) / name
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        raise process_error(error, pid, f"read {path}") from error


def process_error(error: OSError, pid: int, action: str) -> KernelError | ProcessGoneError:
    """What an OSError on a file of /proc/PID means."""
    if isinstance(error, (FileNotFoundError, ProcessLookupError)):
        return ProcessGoneError(pid)
    return KernelError(f"process {pid}: {action}", error.errno or 0)


def _parse(line: str) -> Mapping:
    """`start-end perms offset dev inode   path`, all numbers but the inode in hex."""
    addresses, permissions, offset, _device, inode, *path = line.split(maxsplit=5)
    start, end = addresses.split("-")
    return Mapping(
        start=int(start, 16),
        end=int(end, 16),
        permissions=permissions,
        offset=int(offset, 16),
        inode=int(inode),
        path=path[0] if path else "",
    )
