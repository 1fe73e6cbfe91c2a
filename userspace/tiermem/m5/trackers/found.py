"""What trackers found before they changed it, noted on disk for the run after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Found:
    """`notes` holds one JSON-able value for each source that is in use; the state file keeps it.

    A note is a claim by a run that may be long over: whoever reads one checks
    whether the source still looks as that run left it.
    """

    notes: dict[str, Any] = field(default_factory=dict)
    remember: Callable[[], None] = lambda: None
    """Called when a note has changed, before what it tells of does: puts it on disk."""

    def note(self, source: str, what: Any) -> None:
        """Set the note of `source`; it is on disk when this returns."""
        if source not in self.notes or self.notes[source] != what:
            self.notes[source] = what
            self.remember()

    def of(self, source: str) -> Any:
        """The note of `source`, or None."""
        return self.notes.get(source)

    def drop(self, source: str) -> None:
        """All of it has been given back. The disk may hear of it later: see the class."""
        self.notes.pop(source, None)
