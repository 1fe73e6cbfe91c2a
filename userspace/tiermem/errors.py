"""The one hierarchy of errors that tiermem raises on purpose.

The command line prints `str(error)` on one line and exits with `exit_code`;
anything else that escapes is a defect and keeps its traceback.
"""

from __future__ import annotations

import errno
import os


class TiermemError(Exception):
    """Something the user can understand and act on: what, where, what is allowed."""

    exit_code = 1


class ConfigError(TiermemError):
    """A wrong key or value in a config file or on the command line."""

    exit_code = 2


class MissingError(TiermemError):
    """A program, module, device or right that the host lacks; says how to get it."""

    exit_code = 3


class NoRightError(MissingError):
    """Something is there, and this process may not use it."""


class KernelError(TiermemError):
    """A system call or ioctl that failed, with the errno's meaning.

    `action` names what was being done and to which node, page or file.
    """

    def __init__(self, action: str, code: int) -> None:
        self.code = code
        name = errno.errorcode.get(code, str(code))
        super().__init__(f"{action}: {os.strerror(code)} ({name})")


class ProcessGoneError(TiermemError):
    """A process that ended, before or while it was being looked at."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(f"process {pid}: has ended")


class TimeoutExpiredError(TiermemError):
    """Something did not answer within the time it was given."""

    exit_code = 4


class DamagedError(TiermemError):
    """Stored data that is not what was stored: named, and never served."""

    exit_code = 5


class NoSpaceError(TiermemError):
    """A store, a directory or a tier that is full."""

    exit_code = 6


class LeaseLostError(TiermemError):
    """This host was silent for so long that others may have taken it for dead."""


class NameTakenError(TiermemError):
    """A name that somebody else has already."""
