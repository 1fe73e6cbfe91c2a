"""Files by name: whether what a process has of one is what a restoring host would find."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tiermem.cxlfork.records import File

DELETED = " (deleted)"


def file_record(name: str, found: os.stat_result, *, is_fixed: bool) -> File:
    """A file as an image names it."""
    is_device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    return File(
        name=name,
        mode=found.st_mode,
        bytes=found.st_size,
        modified_ns=found.st_mtime_ns,
        device_number=found.st_rdev if is_device else 0,
        is_fixed=is_fixed,
    )


def is_at_its_name(name: str, found: os.stat_result) -> bool:
    """Whether opening that name gives that very file."""
    if not name.startswith("/"):
        return False
    try:
        there = Path(name).stat()
    except OSError:
        return False
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        return found.st_mode == there.st_mode and found.st_rdev == there.st_rdev
    return (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino)
