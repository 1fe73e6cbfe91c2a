"""The modelled clock, read from a mapped page without system calls.

All times are modelled time: instructions x time per instruction + stalls of the
memory model. Layout: struct tiermem_clock_page of kmod/uapi/tiermem_hpt_regs.h.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.errors import MissingError
from tiermem.native.struct_dtype import struct_dtype

try:
    from tiermem.native._uapi import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _uapi is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

PAGE_DTYPE = struct_dtype(ffi, "tiermem_clock_page")
TIER_DTYPE = struct_dtype(ffi, "tiermem_clock_tier")
VCPU_DTYPE = struct_dtype(ffi, "tiermem_clock_vcpu")

_WORD = 8
_TIER_WORD = ffi.offsetof("struct tiermem_clock_page", "tiers") // _WORD
_TIER_WORDS = ffi.sizeof("struct tiermem_clock_tier") // _WORD
_READ_BYTES, _READS, _STALL_NS = (
    ffi.offsetof("struct tiermem_clock_tier", name) // _WORD
    for name in ("read_bytes", "reads", "stall_ns")
)
_VCPU_WORD = ffi.offsetof("struct tiermem_clock_page", "vcpus") // _WORD
_VCPU_WORDS = ffi.sizeof("struct tiermem_clock_vcpu") // _WORD
_INSTRUCTIONS, _VCPU_BUSY_NS = (
    ffi.offsetof("struct tiermem_clock_vcpu", name) // _WORD for name in ("instructions", "busy_ns")
)
_BUSY_WORD = ffi.offsetof("struct tiermem_clock_page", "busy_ns") // _WORD
_ARMED_WORD = ffi.offsetof("struct tiermem_clock_page", "armed") // _WORD


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The whole page at about one moment; fields are read one after the other.

    tiers: TIER_DTYPE array, one a tier (read_bytes, write_bytes, reads, writes,
    stall_ns). vcpus: VCPU_DTYPE array (instructions, stall_ns, busy_ns, llc_hits).
    """

    busy_ns: int
    armed: bool
    ps_per_instruction: int
    tiers: npt.NDArray[np.void]
    vcpus: npt.NDArray[np.void]


class ClockPage:
    """A reader of the clock. The memory stays mapped until `close`."""

    def __init__(self, page: mmap.mmap) -> None:
        """`page` is one page, mapped from the tracker device or its host file."""
        self._page = page
        self._words = memoryview(page).cast("Q")

    def busy_ns(self) -> int:
        """Modelled busy time, summed over vCPUs. The cheapest call here."""
        return int(self._words[_BUSY_WORD])

    def is_armed(self) -> bool:
        """Whether the clock runs at all."""
        return bool(self._words[_ARMED_WORD])

    def tier_reads(self, tier: int) -> tuple[int, int, int]:
        """Bytes read, line reads and their stall in ns of one tier; noughts where there is none.

        Three loads: for those who look often and need no more.
        """
        if not 0 <= tier < lib.TIERMEM_TIERS_MAX:
            raise ValueError(f"tier {tier}: 0 to {lib.TIERMEM_TIERS_MAX - 1} is allowed")
        words, first = self._words, _TIER_WORD + tier * _TIER_WORDS
        return words[first + _READ_BYTES], words[first + _READS], words[first + _STALL_NS]

    def vcpu_times(self, vcpu: int) -> tuple[int, int]:
        """Instructions that a vCPU has executed, and its modelled busy time in ns."""
        if not 0 <= vcpu < lib.TIERMEM_VCPUS_MAX:
            raise ValueError(f"vCPU {vcpu}: 0 to {lib.TIERMEM_VCPUS_MAX - 1} is allowed")
        words, first = self._words, _VCPU_WORD + vcpu * _VCPU_WORDS
        return words[first + _INSTRUCTIONS], words[first + _VCPU_BUSY_NS]

    def read(self) -> ClockReading:
        """A copy of all there is."""
        page: Any = np.frombuffer(self._page, dtype=PAGE_DTYPE, count=1).copy()[0]
        return ClockReading(
            busy_ns=int(page["busy_ns"]),
            armed=bool(page["armed"]),
            ps_per_instruction=int(page["ps_per_instruction"]),
            tiers=page["tiers"][: min(int(page["nr_tiers"]), lib.TIERMEM_TIERS_MAX)],
            vcpus=page["vcpus"][: min(int(page["nr_vcpus"]), lib.TIERMEM_VCPUS_MAX)],
        )

    def close(self) -> None:
        """Unmap. Using the reader afterwards raises ValueError."""
        self._words.release()
        self._page.close()
