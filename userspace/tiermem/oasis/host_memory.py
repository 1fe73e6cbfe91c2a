"""An area's memory as C has it: struct host_memory (native/host_memory.h)."""

from __future__ import annotations

from typing import Any, Self

from tiermem.layer.pool import Area


class HostMemory:
    """From `at` to the area's end; the pool cannot be closed while it is open.

    ffi: of the extension whose calls get `raw`.
    """

    def __init__(self, ffi: Any, area: Area, at: int = 0) -> None:
        self.bytes = area.bytes - at
        self._ffi = ffi
        self._view = area.view[at:]
        self._pinned: Any = ffi.from_buffer("uint8_t[]", self._view, require_writable=True)
        self.raw: Any = ffi.new("struct host_memory *")
        self.raw.base = self._pinned
        self.is_open = True

    def close(self) -> None:
        """Give the memory up: what uses it must not be used after."""
        if self.is_open:
            self.is_open = False
            self._ffi.release(self._pinned)
            self._view.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
