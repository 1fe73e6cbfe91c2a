"""What can go wrong with the testbed, each with its own exit code and one sentence."""

from __future__ import annotations

from pathlib import Path

from tiermem.errors import TiermemError, TimeoutExpiredError


class BuildError(TiermemError):
    """A step of building the image, the plugin or the modules failed."""

    exit_code = 5


class BootError(TiermemError):
    """QEMU did not start, or the guest did not come up."""

    exit_code = 6


class GuestCrashedError(TiermemError):
    """The guest's kernel oopsed or panicked, or its QEMU ended; names the serial log."""

    exit_code = 7

    def __init__(self, guest: str, what: str, serial_log: Path) -> None:
        self.guest = guest
        self.serial_log = serial_log
        super().__init__(f"guest {guest}: {what}; serial log: {serial_log}")


class GuestHungError(GuestCrashedError):
    """The guest runs but answers nothing any more."""


class CommandFailedError(TiermemError):
    """A command in a guest ended with a status other than zero (`Guest.check`)."""


class CommandTimeoutError(TimeoutExpiredError):
    """A command in a guest ran longer than allowed and was killed."""
