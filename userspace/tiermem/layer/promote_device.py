"""The promoter module: move pages, named by frame number, and learn each one's fate.

    with PromoteDevice() as device:
        outcome = device.promote(pfns, target_node=0)
        outcome.count(PromoteCode.MOVED)

A page counts as moved only if it did move; see kmod/uapi/tiermem_promote.h.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.errors import MissingError
from tiermem.layer.device_file import DeviceFile

try:
    from tiermem.native._uapi import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _uapi is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

U64 = npt.NDArray[np.uint64]

DEFAULT_PATH = Path("/dev/tiermem_promote")
BATCH_MAX: int = lib.TIERMEM_PROMOTE_BATCH_MAX
"""The most frames that one call takes."""


class PromoteCode(enum.IntEnum):
    """What became of one frame; numbers are those of enum tiermem_promote_result."""

    MOVED = lib.TIERMEM_MOVED
    ALREADY_THERE = lib.TIERMEM_ALREADY_THERE
    NO_SUCH_PFN = lib.TIERMEM_NO_SUCH_PFN
    NOT_MAPPED = lib.TIERMEM_NOT_MAPPED
    NOT_MOVABLE = lib.TIERMEM_NOT_MOVABLE
    BUSY = lib.TIERMEM_BUSY
    NO_MEMORY = lib.TIERMEM_NO_MEMORY
    REFUSED = lib.TIERMEM_REFUSED
    DUPLICATE = lib.TIERMEM_DUPLICATE
    NOT_TRIED = lib.TIERMEM_NOT_TRIED

    @property
    def meaning(self) -> str:
        """In words, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    PromoteCode.MOVED: "moved to the target node",
    PromoteCode.ALREADY_THERE: "was on the target node before",
    PromoteCode.NO_SUCH_PFN: "no online memory has that frame number",
    PromoteCode.NOT_MAPPED: "no process maps it: free, or the kernel's",
    PromoteCode.NOT_MOVABLE: "cannot move: pinned, a huge page of hugetlbfs, or a device's",
    PromoteCode.BUSY: "locked, under writeback, or taken by somebody else at that moment",
    PromoteCode.NO_MEMORY: "the target node had no room",
    PromoteCode.REFUSED: "the kernel tried and gave up",
    PromoteCode.DUPLICATE: "belongs to the same folio as an earlier frame of the call",
    PromoteCode.NOT_TRIED: "the call was interrupted before it",
}


@dataclass(frozen=True, slots=True)
class PromoteResult:
    """The outcome of one call.

    codes: uint8, one PromoteCode a frame, in the order asked. moved_pages: base
    pages; a large folio counts with all of its own. Times by the guest's clock.
    """

    codes: npt.NDArray[np.uint8]
    moved_pages: int
    isolate_ns: int
    migrate_ns: int

    def count(self, code: PromoteCode) -> int:
        """How many frames had `code`."""
        return int(np.count_nonzero(self.codes == code))


@dataclass(frozen=True, slots=True)
class PromoteCounters:
    """Totals since the module was loaded, dry runs left out."""

    calls: int
    results: dict[PromoteCode, int]
    moved_pages: int
    isolate_ns: int
    migrate_ns: int


class PromoteDevice(DeviceFile):
    """/dev/tiermem_promote; needs root and CAP_SYS_NICE or CAP_SYS_ADMIN."""

    def __init__(self, path: Path = DEFAULT_PATH) -> None:
        super().__init__(path, "tiermem_promote")

    def promote(self, pfns: U64, target_node: int, *, dry_run: bool = False) -> PromoteResult:
        """Move frames `pfns` (uint64, at most BATCH_MAX) to `target_node`, in that order.

        With `dry_run` nothing moves and MOVED means that it would be tried.
        KernelError: ENODEV for a node without memory, EINVAL for one that cannot
        be, E2BIG for too many frames.
        """
        frames = np.ascontiguousarray(pfns, dtype=np.uint64)
        codes = np.empty(len(frames), dtype=np.uint8)
        argument = ffi.new("struct tiermem_promote_pfns *")
        argument.pfns_ptr = _address(frames)
        argument.count = len(frames)
        argument.target_node = target_node
        argument.flags = _flags(dry_run)
        what = f"move {len(frames)} pages to node {target_node}"
        return self._call(what, lib.TIERMEM_PROMOTE_PFNS, argument, codes)

    def ranges(
        self, ranges: Sequence[tuple[int, int]], target_node: int, *, dry_run: bool = False
    ) -> PromoteResult:
        """Like `promote` over runs of frames (first_pfn, pages); one code a page."""
        runs = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
        pages = int(runs[:, 1].sum(dtype=object))
        codes = np.empty(min(pages, BATCH_MAX), dtype=np.uint8)
        argument = ffi.new("struct tiermem_promote_ranges *")
        argument.ranges_ptr = _address(runs)
        argument.nr_ranges = len(runs)
        argument.target_node = target_node
        argument.flags = _flags(dry_run)
        what = f"move {len(runs)} ranges of {pages} pages to node {target_node}"
        return self._call(what, lib.TIERMEM_PROMOTE_RANGES, argument, codes)

    def counters(self) -> PromoteCounters:
        """What the module did since it was loaded, for all its users."""
        out = ffi.new("struct tiermem_promote_counters *")
        self.ioctl("read counters", lib.TIERMEM_PROMOTE_COUNTERS, ffi.buffer(out))
        return PromoteCounters(
            calls=out.calls,
            results={code: out.results[code] for code in PromoteCode},
            moved_pages=out.moved_pages,
            isolate_ns=out.isolate_ns,
            migrate_ns=out.migrate_ns,
        )

    def _call(
        self, what: str, request: int, argument: Any, codes: npt.NDArray[np.uint8]
    ) -> PromoteResult:
        argument.results_ptr = _address(codes)
        self.ioctl(what, request, ffi.buffer(argument))
        return PromoteResult(codes, argument.moved_pages, argument.isolate_ns, argument.migrate_ns)


def _flags(dry_run: bool) -> int:
    return int(lib.TIERMEM_PROMOTE_DRY_RUN) if dry_run else 0


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)
