"""How busy a device is, of counters that never go back."""

from __future__ import annotations


class Load:
    """So much a second, of whatever is counted; of several counters the busiest's.

    measured: as of the last `note`.
    """

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._counts: tuple[int, ...] = ()
        self.measured = 0

    def note(self, now_s: float, *counts: int) -> None:
        """What they are by now; always as many. Less than a twentieth of a second after the
        last note it is passed over: that says little."""
        if self._at_s is not None:
            elapsed_s = now_s - self._at_s
            if elapsed_s < 0.05:
                return
            grown = (now - then for now, then in zip(counts, self._counts, strict=True))
            self.measured = max(0, int(max(grown) / elapsed_s))
        self._at_s, self._counts = now_s, counts
