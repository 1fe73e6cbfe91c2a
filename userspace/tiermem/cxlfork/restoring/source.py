"""An image that processes are restored from, with what each restore needs open already.

    with Source(pool, image, entry) as source:
        restore(source, Ghost(), Policy.MOW, (0, 1, 2))

Pages of restored processes lie in the image: it must be held as long as they live.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from tiermem.cxlfork.image import Image
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.fitness import check_host
from tiermem.errors import KernelError, MissingError
from tiermem.layer.image_device import DEFAULT_PATH, ImageDevice, ImageSpot
from tiermem.layer.pool import Entry, Pool


class Source:
    """See the module. MissingError where this host is not one for it."""

    def __init__(
        self, pool: Pool, image: Image, entry: Entry, device_path: Path = DEFAULT_PATH
    ) -> None:
        check_host(image)
        self.image = image
        self.at, self.bytes = entry.offset, entry.bytes
        self._pool = pool
        self._device_path = device_path
        self._pages: dict[bool, int | None] = {}
        try:
            self.pool_fd = os.open(pool.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(f"open {pool.path}", error.errno or 0) from None

    def pages_fd(self, policy: Policy) -> int | None:
        """The image module's descriptor for that policy; None without the module, or where
        the pool is a file: then pages are copied by userfaultfd."""
        copy_on_read = policy is Policy.MOA
        if copy_on_read not in self._pages:
            self._pages[copy_on_read] = self._open_pages(copy_on_read)
        return self._pages[copy_on_read]

    def _open_pages(self, copy_on_read: bool) -> int | None:
        start = self._pool.physical_start
        runs = self.image.header.runs
        if start is None or runs.count == 0:
            return None
        spot = ImageSpot(start, self._pool.bytes, self.at, self.bytes)
        try:
            device = ImageDevice(self._device_path)
        except MissingError:
            return None
        with device:
            return device.open_image(
                spot, runs_at=runs.at, runs=runs.count, copy_on_read=copy_on_read
            )

    def close(self) -> None:
        """Processes that were restored go on."""
        for fd in (self.pool_fd, *self._pages.values()):
            if fd is not None:
                os.close(fd)
        self._pages.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
