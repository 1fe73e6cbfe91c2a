"""A real disk that becomes read-only under those that use it: an ext4 that meets an error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def can_become_read_only() -> bool:
    """Whether such a disk can be made here."""
    return (
        os.geteuid() == 0
        and Path("/dev/loop-control").exists()
        and shutil.which("mkfs.ext4") is not None
    )


def mount_of_its_own(size_mib: int) -> str:
    """Shell that puts one on the folder $2, for a mount namespace of one's own."""
    return (
        f'truncate -s {size_mib}M "$2.img"; mkfs.ext4 -q -F "$2.img"; '
        'mount -o loop,errors=remount-ro "$2.img" "$2"'
    )


def make_read_only(folder: Path) -> None:
    """What the kernel does when it finds the file system damaged."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    device = next(fields[0] for fields in mounts if fields[1] == str(folder))
    (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("by a test")
