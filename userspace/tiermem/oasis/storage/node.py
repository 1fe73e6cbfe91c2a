"""A volume's block device, and the name by which its users find it whatever its number is."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from tiermem.errors import KernelError, MissingError, TiermemError
from tiermem.layer.pool import Area
from tiermem.oasis.saved import SavedVolume
from tiermem.oasis.storage.block_device import (
    BlockDevice,
    BlockDeviceCounters,
    BlockDeviceSettings,
    delete_abandoned,
)
from tiermem.oasis.storage.ublk import UblkControl


class DeviceNode:
    """For the volume's thread; link: of the name, whether or not it is there."""

    def __init__(self, saved: SavedVolume, folder: Path) -> None:
        self.link = folder / saved.name
        self._saved = saved
        self._block: BlockDevice | None = None

    @property
    def path(self) -> Path | None:
        """None while it is not served."""
        block = self._block
        return None if block is None else block.path

    @property
    def is_served(self) -> bool:
        """False also where somebody else has deleted it."""
        block = self._block
        return block is not None and block.is_served

    @property
    def counters(self) -> BlockDeviceCounters | None:
        """Since it is served; None while it is not."""
        block = self._block
        return block.counters if block is not None and block.is_served else None

    def rename(self, saved: SavedVolume) -> None:
        """Its slice has another number; before there was a device."""
        self._saved = saved

    def look(self) -> int | None:
        """The number of the device that an earlier daemon left, which can be gone on with.
        MissingError without the kernel's module."""
        with UblkControl() as control:
            number = control.find_of(self._saved.id)
            if number is not None and control.is_stopped(number):
                control.delete(number)
                return None
            return number

    def open(self, area: Area, number: int | None, *, is_write_through: bool) -> None:
        """Go on with device `number`, or make one. See `BlockDevice` for errors."""
        if self._block is not None:
            self._block.leave()
            self._block = None
        saved = self._saved
        settings = BlockDeviceSettings(
            bytes=saved.bytes,
            owner=saved.id,
            is_write_through=is_write_through,
            timeout_s=saved.io_timeout_s,
        )
        self._block = BlockDevice(area, settings, recovers=number)
        self._point_at(self._block.path)

    def _point_at(self, path: Path) -> None:
        aside = self.link.with_name(f".{self.link.name}")
        try:
            if not self.link.parent.is_dir():
                self.link.parent.mkdir(parents=True)
                self.link.parent.chmod(0o755)  # whatever the daemon's umask is
            aside.unlink(missing_ok=True)
            aside.symlink_to(path)
            aside.replace(self.link)
        except OSError as error:
            raise KernelError(f"name {path} {self.link}", error.errno or errno.EIO) from None

    def reconnect(self, area: Area) -> None:
        """Go on at that link. TiermemError."""
        assert self._block is not None  # it is served
        self._block.reconnect(area)

    def remove(self, *, is_forced: bool, is_connected: bool) -> None:
        """Flush it and take it away. TiermemError where it is in use, or nobody is there to
        flush it: is_forced loses what its users have not flushed."""
        if self._block is None:
            self._remove_left(is_forced=is_forced)
        elif is_forced or is_connected:
            self._block.close(is_forced=is_forced)
            self._block = None
        else:
            raise self._unanswered()
        self._unlink()

    def _remove_left(self, *, is_forced: bool) -> None:
        try:
            number = self.look()
        except MissingError:
            return  # without the kernel's module there is no device
        if number is None:
            return
        if not is_forced:
            raise self._unanswered()
        delete_abandoned(number)

    def _unanswered(self) -> TiermemError:
        return TiermemError(
            f"{self.link}: its SSD does not answer, so what was written cannot be flushed: wait "
            "until it is back, or lose that (--force)"
        )

    def end(self, *, is_connected: bool) -> None:
        """The daemon ends. A device that nobody uses goes; one in use stays, and its users
        wait, as they do for an SSD that does not answer."""
        block, self._block = self._block, None
        if block is None:
            return
        if is_connected:
            try:
                block.close()
            except TiermemError:
                block.leave()
            else:
                self._unlink()
        else:
            block.leave()

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            self.link.unlink(missing_ok=True)
