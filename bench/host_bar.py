"""The tracker device as the host sees it: the file behind its BAR, and the PAC file.

The host has a command block of its own, so it can arm, configure and query the
hardware model without the guest's kernel module, and look at counters without
disturbing the guest. A command takes effect at the guest's next interrupt, so a
guest that stands still (under icount: one that executes nothing) never serves it.
Layouts: kmod/uapi/tiermem_hpt_regs.h and fpga_models/qemu/pac_file.h.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tiermem.errors import TimeoutExpiredError
from tiermem.layer.clock_page import ClockPage, ClockReading
from tiermem.native._uapi import ffi, lib

PAC_HEADER_BYTES = 4096
PAC_MAGIC = int.from_bytes(b"TIERPAC1", "little")
_POLL_S = 0.001


class HostBar:
    """One guest's device. `close` (or the end of a with block) unmaps it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), lib.TIERMEM_BAR_BYTES)
        self._view = ffi.from_buffer(self._memory, require_writable=True)
        self.regs: Any = ffi.cast("struct tiermem_regs *", self._view)

    def __enter__(self) -> HostBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap; the object is of no use afterwards."""
        self.regs = None
        ffi.release(self._view)
        self._memory.close()

    def command(self, opcode: int, *arguments: int, timeout_s: float = 60.0) -> int:
        """Issue a command, wait for it, return its enum tiermem_hw_error.

        TimeoutExpiredError if the model does not answer: no plugin, or a guest
        that gets no interrupt.
        """
        block = self.regs.host
        block.arg0, block.arg1, block.arg2 = (*arguments, 0, 0, 0)[:3]
        block.opcode = opcode
        doorbell = (block.doorbell + 1) % (1 << 32)
        block.doorbell = doorbell
        deadline = time.monotonic() + timeout_s
        while block.completed != doorbell:
            if time.monotonic() > deadline:
                raise TimeoutExpiredError(f"the model did not serve command {opcode} in time")
            time.sleep(_POLL_S)
        return int(block.error)

    def list_entries(self, kind: int) -> list[tuple[int, int]]:
        """(address, count) of the newest list of a kind, hottest first; empty if none came."""
        if not self.regs.list_head[kind]:
            return []
        number = self.regs.list_head[kind] - 1
        slot = kind * lib.TIERMEM_LIST_SLOTS + number % lib.TIERMEM_LIST_SLOTS
        offset = lib.TIERMEM_LISTS_OFFSET + slot * lib.TIERMEM_LIST_BYTES
        hot = ffi.cast("struct tiermem_list *", self._view + offset)
        return [(e.address, e.count) for e in hot.entries[0 : hot.nr_entries]]

    def clock(self) -> ClockReading:
        """A copy of the clock page."""
        start = lib.TIERMEM_CLOCK_OFFSET
        page = bytes(self._memory[start : start + mmap.PAGESIZE])
        copy = mmap.mmap(-1, mmap.PAGESIZE)
        copy[:] = page
        reader = ClockPage(copy)
        try:
            return reader.read()
        finally:
            reader.close()


def read_pac(path: Path) -> npt.NDArray[np.uint64]:
    """Reads of every 4 KiB page frame so far, by frame number. ValueError if it is no PAC file."""
    header = np.fromfile(path, dtype="<u8", count=1)
    if header.size != 1 or int(header[0]) != PAC_MAGIC:
        raise ValueError(f"{path} is not a PAC file")
    return np.fromfile(path, dtype="<u8", offset=PAC_HEADER_BYTES)
