"""What the threads of programs/waiting.c saw: the file that it writes."""

from __future__ import annotations

import struct
from errno import errorcode
from pathlib import Path

CALLS = (
    "read",
    "epoll_wait",
    "futex",
    "futex with a timeout",
    "nanosleep",
    "poll",
    "ppoll",
    "select",
    "sigtimedwait",
)
BRIEF = "nanosleep"
"""It is over after some seconds; the others wait until they are told."""

_HEAD = struct.Struct("<QQii")
_CALL = struct.Struct("<3i")


class Seen:
    """Read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _head(self) -> tuple[int, int, int, int]:
        data = self._path.read_bytes() if self._path.exists() else b""
        spins, wrong_sums, go, waiting = _HEAD.unpack(data[: _HEAD.size].ljust(_HEAD.size, b"\0"))
        return spins, wrong_sums, go, waiting

    @property
    def spins(self) -> int:
        """Goes up as long as it computes."""
        return self._head()[0]

    @property
    def wrong_sums(self) -> int:
        """Goes up when a register is lost."""
        return self._head()[1]

    @property
    def all_wait(self) -> bool:
        """Whether all threads have begun."""
        return self._head()[3] == len(CALLS) and self.spins > 0

    def calls(self) -> dict[str, tuple[int, int, int]]:
        """For each: whether it is back, its result and errno."""
        data = self._path.read_bytes()
        return {
            name: _CALL.unpack_from(data, _HEAD.size + _CALL.size * place)
            for place, name in enumerate(CALLS)
        }

    def results(self) -> dict[str, int | str]:
        """What each call gave: 1 is right; the name of its error where it failed."""
        return {
            name: result if result >= 0 else errorcode.get(error, str(error))
            for name, (_is_back, result, error) in self.calls().items()
        }

    def back(self) -> list[str]:
        """Calls that are back although nobody said so."""
        return [name for name, call in self.calls().items() if call[0] and name != BRIEF]

    def go(self) -> None:
        """All may come back."""
        with self._path.open("r+b") as file:
            file.seek(16)
            file.write(b"\1")
