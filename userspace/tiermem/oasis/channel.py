"""The ends of a channel in an area of the pool, for what is said seldom, and for tests.

    format_channel(area)                    # one host, once
    with Sender(area) as sender:            # one host
        sender.send(np.array([[1, 2]], np.uint64))
        sender.flush()
    with Receiver(area) as receiver:        # another
        receiver.wait(most=64, timeout_s=1)

native/channel.h has the protocol and is what data paths use; docs/oasis.md explains it.
A message is a row of 2 or 8 words of 64 bits; the top bit of the last is the channel's.
One thread uses an end at a time.
"""

from __future__ import annotations

import os
import time
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tiermem.errors import MissingError, NoSpaceError, TiermemError
from tiermem.layer.pool import Area
from tiermem.native._channel import ffi, lib
from tiermem.oasis.host_memory import HostMemory

SLOTS = int(lib.CHANNEL_SLOTS)
LINE_BYTES = int(lib.CHANNEL_LINE_BYTES)
SMALL_BYTES, LARGE_BYTES = int(lib.CHANNEL_SMALL_BYTES), int(lib.CHANNEL_LARGE_BYTES)
SLEEP_MAX_S = int(lib.CHANNEL_SLEEP_MAX_NS) / 1e9

Messages = npt.NDArray[np.uint64]
"""Of shape (messages, words of one)."""

_WORD_BYTES = 8
_TOP_BIT = np.uint64(63)
# A signal is seen by Python between two calls.
_CALL_S = 0.1


def channel_bytes(slots: int = SLOTS, message_bytes: int = SMALL_BYTES) -> int:
    """What a channel takes, in bytes. TiermemError where there can be none like that."""
    size = int(lib.channel_bytes(slots, message_bytes)) if 0 <= slots < 1 << 32 else 0
    if not size or message_bytes not in (SMALL_BYTES, LARGE_BYTES):
        raise TiermemError(
            f"a channel of {slots} messages of {message_bytes} bytes: a power of two from "
            f"{lib.CHANNEL_SLOTS_MIN} to {lib.CHANNEL_SLOTS_MAX} messages of {SMALL_BYTES} or "
            f"{LARGE_BYTES} bytes are allowed"
        )
    return size


def format_channel(
    area: Area, *, slots: int = SLOTS, message_bytes: int = SMALL_BYTES, at: int = 0
) -> None:
    """Make an empty channel at an offset of the area, while neither of its ends is open.

    In one life of an area, once at a place: its generation is the area's. NoSpaceError
    where it does not fit.
    """
    size = channel_bytes(slots, message_bytes)
    with _Place(area, at) as place:
        if place.bytes < size:
            raise NoSpaceError(
                f"a channel of {size} bytes at {at} of {area.entry.name!r}: "
                f"{place.bytes} bytes are left there"
            )
        lib.channel_format(place.raw, slots, message_bytes, area.generation)


class _Place(HostMemory):
    """The memory of a channel; the pool cannot be closed while it is open."""

    def __init__(self, area: Area, at: int) -> None:
        if not 0 <= at < area.bytes or at % LINE_BYTES:
            raise TiermemError(
                f"a channel at {at} of {area.entry.name!r}: a multiple of {LINE_BYTES} below "
                f"{area.bytes} is allowed"
            )
        super().__init__(ffi, area, at)


class _End:
    """What both ends are: a place with a channel of the area's generation in it."""

    def __init__(self, area: Area, at: int, end: Any, open_end: Any) -> None:
        self._name = f"the channel at {at} of {area.entry.name!r}"
        self._place = _Place(area, at)
        self._end = end
        if open_end(end, self._place.raw, self._place.bytes, area.generation) != lib.CHANNEL_OK:
            self._place.close()
            raise MissingError(f"{self._name}: there is none, or one of another life of the area")
        self.slots = int(end.slots)
        self.message_bytes = int(end.slot_bytes)
        self._words = self.message_bytes // _WORD_BYTES

    def _open_end(self) -> Any:
        if not self._place.is_open:
            raise TiermemError(f"{self._name}: this end of it was closed")
        return self._end

    def close(self) -> None:
        """Do not use it any more; before the area is closed."""
        self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Sender(_End):
    """The end that messages go in at. MissingError where nobody has made the channel."""

    def __init__(self, area: Area, at: int = 0) -> None:
        super().__init__(area, at, ffi.new("struct channel_sender *"), lib.channel_open_sender)

    @property
    def refused(self) -> int:
        """How often what the receiver said it had taken could not be right and was passed over."""
        return int(self._end.refused)

    def send(self, messages: Messages) -> int:
        """Send the first of them, as many as there is room for; how many those are.

        They are on their way by the next `flush`. TiermemError where they are no messages
        of this channel.
        """
        end = self._open_end()
        if messages.ndim != 2 or messages.shape[1] != self._words or messages.dtype != np.uint64:
            raise TiermemError(
                f"{self._name}: messages of shape {messages.shape}, {messages.dtype}: "
                f"(any number, {self._words}) of uint64 is allowed"
            )
        if (messages[:, -1] >> _TOP_BIT).any():
            raise TiermemError(f"{self._name}: the top bit of a message's last word must be 0")
        words = np.ascontiguousarray(messages[: self.slots])
        return int(
            lib.channel_send(end, ffi.from_buffer("uint64_t[]", words), min(len(words), self.slots))
        )

    def flush(self) -> None:
        """Have all that was sent in memory when this returns."""
        lib.channel_flush(self._open_end())


class Receiver(_End):
    """The end that messages come out of. MissingError where nobody has made the channel.

    sleep_max_s: how long `wait` sleeps at a time when nothing comes, at most; 0: it does
    not, and takes a processor for itself.
    """

    def __init__(self, area: Area, at: int = 0, *, sleep_max_s: float = SLEEP_MAX_S) -> None:
        if not 0 <= sleep_max_s <= 1:
            raise TiermemError(f"sleep_max_s = {sleep_max_s}: 0 to 1 is allowed")
        super().__init__(area, at, ffi.new("struct channel_receiver *"), lib.channel_open_receiver)
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._waiter = ffi.new("struct channel_waiter *")
        lib.channel_waiter_begin(self._waiter, int(sleep_max_s * 1e9), self._stop_fd)

    def receive(self, most: int) -> Messages:
        """Those that are there, `most` of them at most."""
        messages = self._room(most)
        into = ffi.from_buffer("uint64_t[]", messages)
        return messages[: lib.channel_receive(self._open_end(), into, len(messages))]

    def wait(self, most: int, timeout_s: float) -> Messages:
        """The same, once there is one; none when the time is over or it was told to `stop`."""
        messages = self._room(most)
        into = ffi.from_buffer("uint64_t[]", messages)
        took = ffi.new("uint32_t *")
        end_s = time.monotonic() + timeout_s
        woken = lib.CHANNEL_TIMED_OUT
        left_s = timeout_s
        while woken == lib.CHANNEL_TIMED_OUT and left_s >= 0:
            call_ns = int(min(left_s, _CALL_S) * 1e9)
            woken = lib.channel_wait(
                self._open_end(), self._waiter, call_ns, into, len(messages), took
            )
            left_s = end_s - time.monotonic()
        return messages[: took[0]]

    def stop(self) -> None:
        """End a `wait`, from any thread, and all that follow; what is there, `receive` takes."""
        self._open_end()
        os.eventfd_write(self._stop_fd, 1)

    def acknowledge(self) -> None:
        """Tell the sender now how much was taken; `wait` does so before it sleeps."""
        lib.channel_acknowledge(self._open_end())

    def close(self) -> None:
        """See `_End.close`."""
        if self._place.is_open:
            os.close(self._stop_fd)
        super().close()

    def _room(self, most: int) -> Messages:
        if most < 1:
            raise TiermemError(f"{self._name}: most = {most}: 1 or more is allowed")
        return np.empty((min(most, self.slots), self._words), np.uint64)
