"""What every reading of a probe can do, whatever the question."""

from __future__ import annotations

from typing import Any, Protocol, Self

from tiermem.probes.table import Table


class Snapshot(Protocol):
    """Counts since the probe was attached, or, after `minus`, in a stretch of time."""

    def minus(self, earlier: Self) -> Self:
        """What was counted since `earlier`, a reading of the same probe."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        ...

    def tables(self) -> list[Table]:
        """The same for people."""
        ...
