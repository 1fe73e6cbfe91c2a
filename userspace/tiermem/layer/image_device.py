"""The image module: process images mapped from pool memory, and what processes hold.

    with ImageDevice() as device:
        image = device.open_image(spot, runs_at=4096, runs=17)
        pages = device.pages(pid, start, count)
        pages.held | pages.accessed

See kmod/uapi/tiermem_image.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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

Mask = npt.NDArray[np.bool_]

DEFAULT_PATH = Path("/dev/tiermem_image")
MAPPING_NAME = "anon_inode:[tiermem_image]"
"""What /proc/PID/maps calls the mapping of an image."""

_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class ImageSpot:
    """Where an image lies in physical memory. The pool's memory is `pool_bytes` from
    `pool_start` on; the image is `image_bytes` from `image_at` in it on."""

    pool_start: int
    pool_bytes: int
    image_at: int
    image_bytes: int


@dataclass(frozen=True, slots=True)
class HeldPages:
    """What page tables say of consecutive pages; one element each."""

    held: Mask
    accessed: Mask
    dirty: Mask


@dataclass(frozen=True, slots=True)
class ImageCounters:
    """Totals since the module was loaded, of all images."""

    mapped_pages: int
    mapped_large: int
    copied_pages: int
    zero_pages: int
    discarded_pages: int
    faults: int


class ImageDevice(DeviceFile):
    """/dev/tiermem_image; needs root and CAP_SYS_ADMIN."""

    def __init__(self, path: Path = DEFAULT_PATH) -> None:
        super().__init__(path, "tiermem_image")

    def open_image(
        self, spot: ImageSpot, *, runs_at: int, runs: int, copy_on_read: bool = False
    ) -> int:
        """A descriptor (close-on-exec, the caller's to close) whose offsets are the
        process's addresses. `runs` structures lie `runs_at` bytes into the image.

        KernelError: EINVAL and EUCLEAN for an image that is not right, ENXIO for memory
        that is not of a device.
        """
        argument = ffi.new("struct tiermem_image_open *")
        argument.pool_start, argument.pool_bytes = spot.pool_start, spot.pool_bytes
        argument.image_at, argument.image_bytes = spot.image_at, spot.image_bytes
        argument.runs_at, argument.nr_runs = runs_at, runs
        argument.flags = lib.TIERMEM_IMAGE_COPY_ON_READ if copy_on_read else 0
        what = f"open the image of {spot.image_bytes} bytes at {spot.image_at} of the pool"
        self.ioctl(what, lib.TIERMEM_IMAGE_OPEN, ffi.buffer(argument))
        return int(argument.fd)

    def pages(self, pid: int, start: int, pages: int) -> HeldPages:
        """What `pid` holds of `pages` pages from the address `start` on."""
        masks = [np.zeros(-(-pages // _WORD_BITS), dtype="<u8") for _ in range(3)]
        argument = ffi.new("struct tiermem_image_pages *")
        argument.pid, argument.start, argument.pages = pid, start, pages
        argument.held_ptr, argument.accessed_ptr, argument.dirty_ptr = (
            int(mask.ctypes.data) for mask in masks
        )
        what = f"ask for {pages} pages of process {pid} from {start:#x} on"
        self.ioctl(what, lib.TIERMEM_IMAGE_PAGES, ffi.buffer(argument))
        return HeldPages(*(_unpack(mask, pages) for mask in masks))

    def counters(self) -> ImageCounters:
        """What the module did since it was loaded."""
        out = ffi.new("struct tiermem_image_counters *")
        self.ioctl("read counters", lib.TIERMEM_IMAGE_COUNTERS, ffi.buffer(out))
        return ImageCounters(
            mapped_pages=out.mapped_pages,
            mapped_large=out.mapped_large,
            copied_pages=out.copied_pages,
            zero_pages=out.zero_pages,
            discarded_pages=out.discarded_pages,
            faults=out.faults,
        )


def _unpack(mask: npt.NDArray[np.uint64], pages: int) -> Mask:
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=pages)
    return bits.view(np.bool_)
