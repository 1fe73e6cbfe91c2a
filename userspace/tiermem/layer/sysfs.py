"""Small files of /sys and /proc, read below a root that tests can replace.

A file that is not there reads as None: kernels differ in what they show. One
that is there and cannot be read, or says what nobody understands, is an error
that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import KernelError, TiermemError

_CHOSEN = re.compile(r"\[([^\]]+)\]")


@dataclass(frozen=True)
class Tree:
    """Where sysfs and procfs are mounted."""

    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc")


def read_text(path: Path) -> str | None:
    """The file's text without surrounding space, or None where there is no such file."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise KernelError(f"read {path}", error.errno or 0) from error


def read_int(path: Path, base: int = 10) -> int | None:
    """The one number in the file."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return int(text, base)
    except ValueError as error:
        raise TiermemError(f"{path}: says {text!r}, a number was expected") from error


def read_flag(path: Path) -> bool | None:
    """A switch that kernels write as true/false, Y/N or 1/0."""
    text = read_text(path)
    if text is None:
        return None
    if text in ("1", "true", "Y", "y"):
        return True
    if text in ("0", "false", "N", "n"):
        return False
    raise TiermemError(f"{path}: says {text!r}, a switch was expected")


def read_choice(path: Path) -> str | None:
    """The word in brackets of a file like `always [madvise] never`."""
    text = read_text(path)
    if text is None:
        return None
    chosen = _CHOSEN.search(text)
    return chosen.group(1) if chosen else text


def read_list(path: Path) -> tuple[int, ...]:
    """The numbers of a file like `0-3,8`; () where there is no such file."""
    text = read_text(path)
    return parse_list(text, str(path)) if text else ()


def parse_list(text: str, source: str) -> tuple[int, ...]:
    """The numbers of the kernel's list format (`0-3,8`), ascending; `source` names it in errors."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            numbers.update(range(int(first), int(last or first) + 1))
        except ValueError as error:
            raise TiermemError(f"{source}: {text!r} is not a list like 0-3,8") from error
    return tuple(sorted(numbers))


def numbered(folder: Path, prefix: str) -> dict[int, Path]:
    """Entries called `prefix` and a number, by that number, ascending."""
    pattern = re.compile(rf"{re.escape(prefix)}(\d+)$")
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise KernelError(f"list {folder}", error.errno or 0) from error
    found = {int(m.group(1)): entry for entry in entries if (m := pattern.match(entry.name))}
    return dict(sorted(found.items()))
