"""What is freed goes back to the kernel, so that memory that is taken is memory in use."""

from __future__ import annotations

import ctypes

# malloc.h
_M_MMAP_THRESHOLD = -3
# Smaller ones come and go too often for that.
_THRESHOLD_BYTES = 256 << 10


def give_back_when_freed() -> None:
    """For all of this process from now on: buffers of this size and more are mapped one by one,
    not cut out of what the C library keeps, whose pieces fit the next one seldom.

    glibc raises that limit with each larger buffer that is freed, unless it is set
    (mallopt(3)). Other C libraries have their own ways, and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
