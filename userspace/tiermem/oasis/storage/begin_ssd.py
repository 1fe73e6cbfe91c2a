"""An SSD given to the pod: its table of slices begun, once, over whatever is on it."""

from __future__ import annotations

from pathlib import Path

from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.oasis.storage.device import open_device
from tiermem.oasis.storage.disk import OpenDisk
from tiermem.oasis.storage.slice_table import SliceTable, format_table, is_blank

_LOCK_S = 1.0


def begin_ssd(path: Path, *, is_forced: bool) -> int:
    """The bytes that slices may take. TiermemError where there is something on it, and it is
    not `is_forced`; what `open_device` raises where it is in use, NoSpaceError."""
    device = open_device(path, is_direct=True, lock_timeout_s=_LOCK_S)
    try:
        disk = OpenDisk(device)
        if not is_forced:
            _refuse_what_is_used(path, disk)
        format_table(disk)
        return SliceTable.open(disk).bytes
    finally:
        device.close()


def has_table(path: Path) -> bool:
    """Whether that was done. What `open_device` raises, DamagedError."""
    device = open_device(path, is_direct=True, lock_timeout_s=0)
    try:
        SliceTable.open(OpenDisk(device))
    except MissingError:
        return False
    finally:
        device.close()
    return True


def _refuse_what_is_used(path: Path, disk: OpenDisk) -> None:
    try:
        count = len(SliceTable.open(disk).slices)
    except DamagedError as error:
        raise TiermemError(f"{path}: {error}; --force loses all slices on it") from None
    except MissingError:
        if is_blank(disk):
            return
        what = "something is on it, such as partitions or a file system"
    else:
        what = f"it has a table with {count} slices already"
    raise TiermemError(f"{path}: {what}; --force has all of it be lost")
