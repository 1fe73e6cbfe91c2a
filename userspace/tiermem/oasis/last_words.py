"""What a daemon that is killed could not say any more: that its NICs carry nothing.

A process of its own waits beside the daemon for it to die, and then says so in each link,
where who uses these NICs hears it within some milliseconds. Without it (the host died, or
both processes were killed) they notice that the daemon is silent, which takes longer.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tiermem.errors import KernelError, TiermemError
from tiermem.layer.pool.mapping import Mapping
from tiermem.native._net import ffi, lib

_OF_THE_DAEMON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""What both processes get, and one of them obeys: it ends the other."""


class LastWords:
    """The daemon's end: what there is to be said, should it die now."""

    def __init__(self, native: Any) -> None:
        self._native = native

    @classmethod
    def prepare(cls, pool: Path) -> LastWords:
        """Start the process. While this one has no other threads, for it becomes a copy; the
        thread that calls has to live as long as the daemon. KernelError."""
        native = lib.net_last_words_create()
        if native == ffi.NULL:
            raise KernelError("share memory with another process", ffi.errno)
        # Blocked, so that they stay so there from its begin.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_DAEMON)
        if os.fork() == 0:
            try:
                _wait_and_speak(native, pool)
            finally:
                os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(native)

    def add(self, offset: int) -> None:
        """There is a link at that offset of the pool. Of too many some are not told."""
        lib.net_last_words_add(self._native, offset)

    def remove(self, offset: int) -> None:
        """There is none any more; before its memory can be anybody else's."""
        lib.net_last_words_remove(self._native, offset)

    def forget(self) -> None:
        """There is nothing to say, for the links' memory may be others'. By any thread."""
        lib.net_last_words_forget(self._native)

    def end(self) -> None:
        """There is nothing to say: the daemon has told everybody itself. By the thread that
        prepared it."""
        lib.net_last_words_end(self._native)


def _wait_and_speak(native: Any, pool: Path) -> None:
    try:
        mapping = Mapping(pool)
    except TiermemError:
        return  # the daemon says what is wrong
    lib.net_last_words_speak(native, ffi.cast("void *", mapping.address))
