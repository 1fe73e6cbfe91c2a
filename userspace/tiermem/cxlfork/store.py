"""The images of a pool as one host has them: found, checked once, held while they are used.

An image is immutable from its publication to its removal, so that this host's caches
need to be rid of older lines, and its bytes to be summed up, just once: after that a
restore costs the same whatever the image's size. `scan` follows what the hosts of the
pod publish and remove.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable

from tiermem.cxlfork.image import PREFIX, Image, image_name
from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.layer.pool import Entry, Extent, Pool
from tiermem.native._fork import lib

KIND: int = lib.IMAGE_POOL_KIND


class Check(enum.Enum):
    """What is known of an image's bytes."""

    UNCHECKED = "unchecked"
    GOOD = "good"
    DAMAGED = "damaged"


class HeldImage:
    """An image that this host holds.

    check: what is known of its bytes, found out in `checked_ns`; `trouble` says what is
    wrong with it. image: there once it was found good. closers: called when it is let
    go, by who keeps something open for it. lock: whoever uses what is kept open has it.
    """

    def __init__(self, pool: Pool, name: str, extent: Extent) -> None:
        self._pool = pool
        self.name, self.extent = name, extent
        self.check = Check.UNCHECKED
        self.trouble = ""
        self.checked_ns = 0
        self.is_released = False
        self.closers: list[Callable[[], None]] = []
        self.image: Image | None = None
        self.lock = threading.RLock()

    @property
    def entry(self) -> Entry:
        """Its entry in the pool."""
        return self.extent.entry

    def make_ready(self) -> Image:
        """Check it, unless that was done; DamagedError for an image that is not as it was
        published, or was not written by a tiermem of this version."""
        with self.lock:
            if self.check is Check.UNCHECKED:
                self._check()
            if self.image is None:
                raise DamagedError(self.trouble)
            return self.image

    def _check(self) -> None:
        began_ns = time.monotonic_ns()
        try:
            self.extent.verify()
            self.image = Image(self.extent.view(), self.name)
        except DamagedError as error:
            self.check, self.trouble = Check.DAMAGED, str(error)
        else:
            self.check = Check.GOOD
        self.checked_ns = time.monotonic_ns() - began_ns

    def condemn(self, trouble: str) -> None:
        """It has been damaged since it was checked."""
        with self.lock:
            self.check, self.trouble, self.image = Check.DAMAGED, trouble, None

    def lend(self, pid: int) -> None:
        """Have it held for a process of this host as well, until that ends. MissingError
        where it was removed meanwhile."""
        with self.lock:
            if self.is_released:
                raise MissingError(f"image {self.name!r} was removed just now")
            self._pool.hold_for(self.entry.extent, pid)

    def release(self) -> None:
        """Hold it no longer."""
        with self.lock:
            self.is_released = True
            for close in self.closers:
                close()
            self.closers.clear()
            self.extent.release()


class ImageStore:
    """All images of a pool, by name. May be used by several threads."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._held: dict[str, HeldImage] = {}
        self._lock = threading.Lock()

    def scan(self) -> list[HeldImage]:
        """Hold what is new, let go of what is gone; those that were not checked yet."""
        found = {
            entry.name.removeprefix(PREFIX): entry
            for entry in self.pool.entries()
            if entry.kind == KIND and entry.name.startswith(PREFIX)
        }
        with self._lock:
            for name, held in list(self._held.items()):
                if name not in found or found[name].extent != held.entry.extent:
                    del self._held[name]
                    held.release()
            for name in found.keys() - self._held.keys():
                self._hold(name)
            return [one for one in self._held.values() if one.check is Check.UNCHECKED]

    def _hold(self, name: str) -> None:
        try:
            extent = self.pool.open(image_name(name), verify=False)
        except (MissingError, DamagedError):
            # Removed meanwhile; a damaged entry is what `tiermem pool verify` tells of.
            return
        self._held[name] = HeldImage(self.pool, name, extent)

    def all(self) -> list[HeldImage]:
        """All that the last scan found, by name."""
        with self._lock:
            return [self._held[name] for name in sorted(self._held)]

    def find(self, name: str) -> HeldImage:
        """One image, looked for anew where the last scan had none of that name. MissingError."""
        with self._lock:
            held = self._held.get(name)
        if held is None:
            self.scan()
            with self._lock:
                held = self._held.get(name)
        if held is None:
            raise MissingError(f"{self.pool.path}: has no image {name!r}{self._others()}")
        return held

    def _others(self) -> str:
        names = [one.name for one in self.all()]
        return f"; it has {', '.join(names)}" if names else "; it has none"

    def remove(self, name: str) -> None:
        """Remove an image. It is gone when the host that took it has seen that, at its next
        collection. Processes that were restored from it go on; the space comes back when
        the last of them has ended. MissingError."""
        self.find(name)
        self.pool.remove(image_name(name))
        self.scan()

    def close(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            for held in self._held.values():
                held.release()
            self._held.clear()


def check_name(name: str) -> None:
    """TiermemError for what cannot be an image's name."""
    if not name or len(name.encode()) > 100 or not name.isprintable() or name != name.strip():
        raise TiermemError(
            f"image name {name!r}: must be 1 to 100 bytes of printable text, without spaces around"
        )
