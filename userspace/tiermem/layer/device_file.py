"""A kernel module's device node: opened once, ioctls with errors that say what failed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tiermem.errors import KernelError, MissingError, NoRightError


class DeviceFile:
    """An open device node. A context manager; closed twice is closed once."""

    def __init__(self, path: Path, module: str) -> None:
        """Open `path`, which `module` makes. MissingError when it is not there,
        NoRightError without the right to open it."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise MissingError(
                f"{path} is not there: the kernel module {module} is not loaded,"
                " or this host lacks its device; `modprobe` or `insmod` it as root"
            ) from None
        except PermissionError as error:
            raise NoRightError(
                f"{path} cannot be opened: {error.strerror}; it is root's, and a unit or"
                " container must allow it (DeviceAllow)"
            ) from None
        except OSError as error:
            raise KernelError(f"open {path}", error.errno or 0) from None

    def fileno(self) -> int:
        """For select and asyncio; readable when the device has something."""
        return self._fd

    def ioctl(self, action: str, request: int, argument: Any = 0) -> None:
        """Call `request` with a writable buffer, or an int; KernelError names `action`."""
        try:
            if isinstance(argument, int):
                fcntl.ioctl(self._fd, request, argument)
            else:
                fcntl.ioctl(self._fd, request, argument, True)
        except OSError as error:
            raise KernelError(f"{self.path}: {action}", error.errno or 0) from None

    def close(self) -> None:
        """Close the node."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
