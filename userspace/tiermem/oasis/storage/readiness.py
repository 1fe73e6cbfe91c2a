"""What `tiermem doctor` looks at of SSDs: whether each can be lent, and block devices be made."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from tiermem.errors import MissingError, TiermemError
from tiermem.oasis.settings import SsdSettings
from tiermem.oasis.storage.begin_ssd import has_table
from tiermem.oasis.storage.ublk import CONTROL

_DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
_BY_NOBODY = "2"


def block_device_trouble() -> str:
    """Why this host can make no block devices, in one line; empty where it can."""
    if not CONTROL.exists():
        return f"{CONTROL} is not there"
    return "" if os.access(CONTROL, os.R_OK | os.W_OK) else f"{CONTROL} may not be opened"


def io_uring_trouble() -> str:
    """Why this host can neither lend SSDs nor make block devices; empty where it can."""
    try:
        is_off = _DISABLED.read_text().strip() == _BY_NOBODY
    except OSError:
        return ""  # kernels before 6.6 have no such switch
    return f"{_DISABLED} is {_BY_NOBODY}: nobody may use io_uring" if is_off else ""


def ssd_trouble(ssd: SsdSettings) -> str:
    """Why that one cannot be lent; empty where it can, or is."""
    try:
        fd = os.open(ssd.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return f"{ssd.path}: {os.strerror(error.errno or errno.EIO)}"
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ""  # a daemon lends it
    finally:
        os.close(fd)
    try:
        if has_table(ssd.path):
            return ""
    except MissingError as error:
        return str(error)
    except TiermemError as error:
        return f"{error} (mounted, or part of another device?)"
    return f"{ssd.path}: has no table of slices: tiermem oasis format-ssd {ssd.path}"
