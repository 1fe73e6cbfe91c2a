"""Token bucket that holds promotion traffic under a configured MB/s."""

from __future__ import annotations

from tiermem.m5.hotlist import PAGE_BYTES

NS_PER_S = 1_000_000_000


class RateLimiter:
    """Grants pages so that no span of t seconds sees more than burst + rate * t bytes.

    Time is whatever clock the caller passes (guest time in the daemon, trace
    time in replay); it may stand still but going back grants nothing.
    """

    def __init__(self, limit_MBps: float, burst_s: float, now_ns: int) -> None:  # noqa: N803
        self.limit_MBps = limit_MBps
        self.burst_s = burst_s
        self._tokens_bytes = self._burst_bytes
        self._last_ns = now_ns

    @property
    def _burst_bytes(self) -> float:
        # A burst under one page would never grant anything.
        return max(self.limit_MBps * 1e6 * self.burst_s, float(PAGE_BYTES))

    def set_limit(self, limit_MBps: float) -> None:  # noqa: N803
        """Change the rate from now on; saved-up tokens above the new burst are lost."""
        self.limit_MBps = limit_MBps
        self._tokens_bytes = min(self._tokens_bytes, self._burst_bytes)

    def available_pages(self, now_ns: int) -> int:
        """Whole pages that may be moved at `now_ns`."""
        elapsed_ns = max(0, now_ns - self._last_ns)
        self._last_ns = max(self._last_ns, now_ns)
        refill = elapsed_ns / NS_PER_S * self.limit_MBps * 1e6
        self._tokens_bytes = min(self._burst_bytes, self._tokens_bytes + refill)
        return max(0, int(self._tokens_bytes // PAGE_BYTES))

    def spend(self, pages: int) -> None:
        """Account for pages that were moved (a large folio may overdraw: debt is paid back)."""
        self._tokens_bytes -= pages * PAGE_BYTES
