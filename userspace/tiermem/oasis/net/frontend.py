"""The side of a link where the instances are."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Self

from tiermem.errors import KernelError, MissingError, TiermemError, TimeoutExpiredError
from tiermem.native._net import ffi, lib
from tiermem.oasis.net.counters import Counters, counters_of
from tiermem.oasis.net.link import Memory
from tiermem.oasis.net.mac import mac_text
from tiermem.oasis.net.pace import Pace, native_pace
from tiermem.oasis.net.tap import Tap

_ASK_AGAIN_S = 0.001


class InstanceState(IntEnum):
    """Of an instance's number; see net_frontend.h."""

    FREE = 0
    ASKED = 1
    READY = 2
    REFUSED = 3
    LEAVING = 4


class Peer(IntEnum):
    """How the backend of a link is, by what it says there; see net_pulse.h."""

    WELL = 0
    SILENT = 1
    WITHOUT_NIC = 2


@dataclass(frozen=True, slots=True)
class Watch:
    """silence_ms: after so long without a sign of life the backend is SILENT, 0: it never is.
    alarm: an eventfd that rings at each change of `Frontend.peer`; -1: none."""

    silence_ms: int = 0
    alarm: int = -1


class Frontend:
    """A thread that carries frames between TAPs and a link, until `close`."""

    def __init__(
        self,
        memory: Memory,
        generation: int,
        pace: Pace | None = None,
        watch: Watch = Watch(),
    ) -> None:
        """Open the link and start. MissingError where there is none of that generation.

        Another thread of the same link must not be running. KernelError without a thread.
        """
        # Of all that native code has a pointer to, this must outlive it.
        self._memory = memory
        base = ffi.cast("void *", memory.address)
        paced = native_pace(pace or Pace())
        watched = {"silence_ns": watch.silence_ms * 1_000_000, "alarm_fd": watch.alarm}
        self._native = lib.net_frontend_create(base, memory.bytes, generation, paced, watched)
        if self._native == ffi.NULL:
            raise MissingError(f"no link of generation {generation}: the backend has to make it")
        error = lib.net_frontend_start(self._native)
        if error:
            lib.net_frontend_destroy(self._native)
            raise KernelError("start the frontend's thread", error)

    def add(self, tap: Tap) -> int:
        """Serve the instance of that TAP; its number. It is served when it is READY.

        TiermemError where its address is here already or no instance's, or with too many.
        """
        number = int(lib.net_frontend_add(self._native, tap.descriptor, tap.mac))
        if number < 0:
            why = {
                errno.EEXIST: "its address is served here already",
                errno.EINVAL: "its address is not one of a single host",
                errno.ENOSPC: f"there are {lib.NET_INSTANCES} instances already",
            }.get(ffi.errno, os.strerror(ffi.errno))
            raise TiermemError(f"instance {tap.settings.name} ({mac_text(tap.mac)}): {why}")
        return number

    def remove(self, number: int) -> None:
        """Not to be served any longer; its TAP may be closed then."""
        if lib.net_frontend_remove(self._native, number) < 0:
            raise TiermemError(f"instance {number}: there is none of that number")

    def unsent(self, number: int) -> bytes:
        """The frames that this instance, or one that was removed just now, gave to the backend
        and of which that has not said that it sent them; for `send_again` of another."""
        size = lib.net_frontend_unsent(self._native, number, ffi.NULL, 0)
        frames = bytearray(size)
        size = lib.net_frontend_unsent(self._native, number, ffi.from_buffer(frames), size)
        return bytes(memoryview(frames)[:size])

    def send_again(self, number: int, frames: bytes) -> None:
        """Send what `unsent` told, as soon as the instance, which was added just now, is
        served, and before what it sends meanwhile. TiermemError."""
        error = lib.net_frontend_send_again(self._native, number, frames, len(frames))
        if error:
            raise TiermemError(f"instance {number}: send frames again: {os.strerror(error)}")

    def state(self, number: int) -> InstanceState:
        """Where it stands with the backend."""
        return InstanceState(lib.net_frontend_state(self._native, number))

    def wait_ready(self, number: int, timeout_s: float) -> None:
        """TiermemError where the backend refuses it; TimeoutExpiredError."""
        end_s = time.monotonic() + timeout_s
        while (state := self.state(number)) is not InstanceState.READY:
            if state is not InstanceState.ASKED:
                raise TiermemError(f"instance {number}: the backend refuses its address")
            if time.monotonic() > end_s:
                raise TimeoutExpiredError(f"instance {number}: no answer within {timeout_s} s")
            time.sleep(_ASK_AGAIN_S)

    @property
    def peer(self) -> Peer:
        """How the backend is."""
        return Peer(lib.net_frontend_peer(self._native))

    def counters(self) -> Counters:
        """Since it was opened."""
        return counters_of(lib.net_frontend_counters(self._native))

    def close(self) -> None:
        """Stop. The TAPs stay open; the backend keeps their addresses until its link is removed."""
        lib.net_frontend_destroy(self._native)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
