"""Promoter `module`: frames go to the kernel module behind /dev/tiermem_promote."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tiermem.layer.promote_device import BATCH_MAX, PromoteDevice
from tiermem.m5.hotlist import U64
from tiermem.m5.promoter import Moves


class FramePromoter:
    """See the module. MissingError where it is not loaded."""

    name = "module"

    def __init__(self, path: Path) -> None:
        self._device = PromoteDevice(path)

    def promote(self, pages: U64, node: int) -> Moves:
        """See Promoter.promote."""
        # Its own CPU time: while it waits, others are not held up.
        begin_ns = time.thread_time_ns()
        parts = [
            self._device.promote(pages[first : first + BATCH_MAX], node)
            for first in range(0, pages.size, BATCH_MAX)
        ]
        codes = [part.codes for part in parts] or [np.empty(0, dtype=np.uint8)]
        moved_pages = sum(part.moved_pages for part in parts)
        return Moves(np.concatenate(codes), moved_pages, time.thread_time_ns() - begin_ns)

    def close(self) -> None:
        """See Promoter.close."""
        self._device.close()
