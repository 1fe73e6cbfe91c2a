"""An arena as its clients use it: memory of one kind, handed out as buffers.

    with create_arena("kv", 1 << 30, tier="slowest") as arena:
        with arena.allocate(23040 * 128) as block:
            block.copy_in(array)
            block.numpy("f4", (128, 30, 192))[0] = 1

See docs/layer.md. Threads may share an arena and its buffers.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import Any, Self

from tiermem.errors import NoSpaceError, TiermemError
from tiermem.layer.arena.buffer import Buffer
from tiermem.layer.arena.emulation import Emulation
from tiermem.layer.arena.hotness import HotnessSource, HotPages, hot_pages
from tiermem.layer.arena.memory import Memory
from tiermem.layer.arena.registry import Description, Registration, Usage
from tiermem.layer.arena.space import Space
from tiermem.native._arena import ffi

ALIGN_BYTES = 64


class Arena:
    """`bytes` of memory, never more; `close` it, or leave the `with` block.

    `create_arena`, `create_shared_arena` and `open_shared_arena` make one.
    """

    def __init__(
        self,
        memory: Memory,
        description: Description,
        registration: Registration,
        space: Space | None,
        emulation: Emulation | None,
    ) -> None:
        """`space`: None where another process hands the buffers out."""
        self.description = description
        self.emulation = emulation
        self.pace: Any = emulation.new_pace() if emulation else ffi.NULL
        self._memory = memory
        self._registration = registration
        self._space = space
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._is_open = True
        self._exports = 0
        self._exported_bytes = 0
        # Offset and bytes of buffers that ended, from whichever thread dropped the last view.
        self._ended: deque[tuple[int, int]] = deque()

    @property
    def name(self) -> str:
        """As its maker calls it."""
        return self.description.name

    @property
    def bytes(self) -> int:
        """All that it may hand out."""
        return self.description.bytes

    @property
    def address(self) -> int:
        """Where it begins in this process."""
        return self._memory.address

    @property
    def nodes(self) -> tuple[int, ...]:
        """Where its memory lies; none for a pool's."""
        return self.description.nodes

    @property
    def is_coherent(self) -> bool:
        """False of a shared arena: see Buffer.write_back and Buffer.invalidate."""
        return self._memory.is_coherent

    @property
    def usage(self) -> Usage:
        """Bytes handed out, the most ever, and in how many buffers."""
        with self._alone():
            return self._registration.usage()

    @property
    def free_bytes(self) -> int:
        """All that is not handed out, in however many pieces."""
        with self._alone():
            return self._own_space.free_bytes

    @property
    def largest_bytes(self) -> int:
        """The longest piece that is not handed out."""
        with self._alone():
            return self._own_space.largest_bytes

    def huge_bytes(self) -> int | None:
        """How much of it really is in huge pages now; None of a pool's memory."""
        self.check_open()
        return self._memory.huge_bytes()

    def allocate(self, size_bytes: int, align_bytes: int = ALIGN_BYTES) -> Buffer:
        """A buffer of so many bytes, at an address that `align_bytes` (a power of two) divides.

        What is in it is what was there before. NoSpaceError with what is free and the
        largest piece.
        """
        with self._alone():
            self.check_open()
            try:
                offset = self._own_space.allocate(index(size_bytes), index(align_bytes))
            except NoSpaceError as error:
                raise NoSpaceError(f"{self!r}: {error}") from None
            return self._export(offset, index(size_bytes))

    def at(self, offset: int, size_bytes: int) -> Buffer:
        """The bytes that another process, which made this shared arena, has allocated there."""
        with self._alone():
            self.check_open()
            if self._space is not None:
                raise TiermemError(f"{self!r}: hands out its buffers itself: allocate() them")
            if offset < 0 or size_bytes < 1 or offset + size_bytes > self.bytes:
                raise TiermemError(f"{self!r}: has no {size_bytes} bytes at {offset}")
            return self._export(offset, size_bytes)

    def hot_pages(self, source: HotnessSource) -> HotPages | None:
        """Which of its pages are hot; None where `source` says that nothing tracks them.

        MissingError without the right to see page frame numbers.
        """
        self.check_open()
        frames = source()
        return None if frames is None else hot_pages(self.address, self.bytes, frames)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Alone among threads; what ended within is free afterwards."""
        with self._alone():
            yield
            self._settle()

    def close(self) -> None:
        """Give the memory back. TiermemError while buffers are open, and the second time."""
        with self._alone():
            self.check_open()
            if self._exports:
                raise TiermemError(
                    f"{self!r}: cannot be closed: {self._exports} of its buffers are open"
                )
            self._is_open = False
            self._registration.end()
            self._memory.close()

    def check_own(self) -> None:
        """TiermemError in a process that was forked from the one whose arena it is."""
        if os.getpid() != self._pid:
            raise TiermemError(
                f"arena {self.name!r}: belongs to process {self._pid}, which this one was forked "
                "from; its memory is not here"
            )

    def check_open(self) -> None:
        """The same, and where it was closed."""
        self.check_own()
        if not self._is_open:
            raise TiermemError(f"arena {self.name!r}: was closed")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Asked first: in a forked child the lock may be held by a thread that is not there.
        self.check_own()
        with self._lock:
            self._settle()
            yield

    @property
    def _own_space(self) -> Space:
        if self._space is None:
            raise TiermemError(
                f"{self!r}: its buffers are handed out where it was made; at() takes one of them"
            )
        return self._space

    def _export(self, offset: int, size_bytes: int) -> Buffer:
        """What every view holds: when it ends, nobody can reach the bytes by one any more."""
        export = ffi.buffer(ffi.cast("uint8_t *", self.address + offset), size_bytes)
        # The memory is named so that it is there as long as the view.
        ending = weakref.finalize(
            export, _note_end, self._ended, (offset, size_bytes), self._memory
        )
        ending.atexit = False
        self._exports += 1
        self._exported_bytes += size_bytes
        self._registration.note(self._exported_bytes, self._exports)
        return Buffer(self, offset, size_bytes, export)

    def _settle(self) -> None:
        """Take what has ended into account."""
        if not self._ended:
            return
        while self._ended:
            offset, size_bytes = self._ended.popleft()
            self._exports -= 1
            self._exported_bytes -= size_bytes
            if self._space is not None:
                self._space.give_back(offset)
        self._registration.note(self._exported_bytes, self._exports)

    def __repr__(self) -> str:
        used = self._registration.usage().used_bytes
        return f"<arena {self.name!r}: {used} of {self.bytes} bytes used, {self.description.where}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if not self._is_open or os.getpid() != self._pid:
            return
        if kind is None:
            self.close()
        else:
            # The error's own traceback may hold buffers; the memory goes with the last.
            with self._alone():
                self._is_open = False
                self._registration.end()
                if not self._exports:
                    self._memory.close()


def _note_end(ended: deque[tuple[int, int]], piece: tuple[int, int], _memory: Memory) -> None:
    ended.append(piece)
