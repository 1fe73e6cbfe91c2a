"""What cannot be taken of a process: collected, so that one attempt names all of it."""

from __future__ import annotations

from collections.abc import Iterable

from tiermem.errors import TiermemError


class RefusedError(TiermemError):
    """A process that cannot be checkpointed as it is; `reasons` are sentences."""

    def __init__(self, pid: int, reasons: Iterable[str]) -> None:
        self.pid = pid
        self.reasons = tuple(reasons)
        super().__init__(f"process {pid} cannot be checkpointed: {'; '.join(self.reasons)}")


class Refusals:
    """Reasons found so far."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._reasons: list[str] = []

    def add(self, reason: str) -> None:
        """One more: what it is, and what would help."""
        self._reasons.append(reason)

    def check(self) -> None:
        """RefusedError if there is any."""
        if self._reasons:
            raise RefusedError(self._pid, self._reasons)
