"""Elector: whether moving pages pays now, which ones, and how often to look again.

Two rules work together. The paper's: migration frequency follows the ratio of
the tiers' bandwidth densities, to a power; where many pages would win, it is
raised, since a density ratio below 1 does not mean that nothing is left to
gain. Ours: a page goes up only when the
reads expected of it, beyond those of the page it pushes out, save more time
than both moves cost; when for some rounds nobody passes, migration stops, and
it starts again only for candidates that pass by a clear margin. Reads are
expected for as long as the program's present phase has lasted already: of one
that has just begun nobody knows more, and a page that would pay in a minute does
not run away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tiermem.m5.hotlist import F64
from tiermem.m5.observation import Observation, TierLoad
from tiermem.service.config import Settings

# Fewer pages say nothing about the ones that were pushed down.
_FEW_PAGES = 64
_NEW_SAMPLE = 0.3
_NS_PER_S = 1e9


class ElectorSettings(Settings):
    """Config section [elector]."""

    base_hz: float = Field(default=4.0, gt=0, le=1000)
    min_hz: float = Field(default=1.0, gt=0, le=1000)
    max_hz: float = Field(default=4.0, gt=0, le=1000)
    power: float = Field(default=3.0, ge=0, le=16)
    payback_s: float = Field(default=60.0, gt=0, le=3600)
    first_payback_s: float = Field(default=10.0, gt=0, le=3600)
    victim_weight: float = Field(default=1.0, ge=0, le=16)
    busy_pages: int = Field(default=2048, ge=1, le=1 << 20)
    stop_rounds: int = Field(default=3, ge=1, le=1000)
    stop_below_pages: int = Field(default=8, ge=1, le=1 << 20)
    restart_margin: float = Field(default=1.5, ge=1, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> ElectorSettings:
        if self.min_hz > self.max_hz:
            raise ValueError(f"min_hz {self.min_hz} is above max_hz {self.max_hz}")
        return self


@dataclass(frozen=True, slots=True)
class Election:
    """`wins` says which nominees may move; all False while stopped."""

    wins: npt.NDArray[np.bool_]
    migrating: bool
    frequency_hz: float
    threshold_reads_per_s: float
    reason: str


def density_ratio(slow: TierLoad, fast: TierLoad) -> float | None:
    """Slow tier's bandwidth density over the fast tier's; None where either is not counted."""
    if slow.density is None or fast.density is None:
        return None
    if slow.density == 0.0:
        return 0.0
    return slow.density / fast.density if fast.density > 0.0 else float("inf")


class Elector:
    """Holds one bit of state, migrating or stopped, how long nobody has won, and how
    long the program's phase has lasted."""

    def __init__(self, settings: ElectorSettings) -> None:
        self.settings = settings
        self.migrating = True
        self.regret = 0.0
        self._idle_rounds = 0
        self._phase_began_ns: int | None = None

    def learn_regret(
        self, reads_per_s: F64, came_down: npt.NDArray[np.bool_], threshold_reads_per_s: float
    ) -> None:
        """Take in how many of the pages worth promoting had just been pushed down.

        Few: what goes down is cold. Many: the fast tier holds only hot pages, and
        each promotion costs it one.
        """
        worth = reads_per_s > threshold_reads_per_s
        if worth.sum() >= _FEW_PAGES:
            share = float((worth & came_down).sum() / worth.sum())
            self.regret += _NEW_SAMPLE * (share - self.regret)

    def victim_reads_per_s(self, seen: Observation) -> float:
        """Reads a second to expect of the pages that promotions push out.

        The kernel pushes out what its LRU holds for cold, which is taken to be read
        like an average page of the slow tier, where such pages are; the more of
        them come back hot, the more like an average page of the fast tier.
        """
        fast = seen.fast.page_reads_per_s or 0.0
        slow = min(seen.slow.page_reads_per_s or 0.0, fast)
        return self.settings.victim_weight * (slow + self.regret * (fast - slow))

    def frequency_hz(self, ratio: float | None) -> float:
        """Rounds a second: base * ratio^power within [min, max]; monotone in `ratio`."""
        settings = self.settings
        # Beyond this ratio the power only overflows: the clamp has long been reached.
        gain = 1.0 if ratio is None else min(ratio, 1e6) ** settings.power
        return float(min(max(settings.base_hz * gain, settings.min_hz), settings.max_hz))

    def threshold_reads_per_s(self, seen: Observation, room_left: bool) -> float:
        """Read rate above which a page's move pays back within `horizon_s`.

        With room left nothing is pushed out: only the promotion must be paid.
        """
        costs = seen.costs
        saved_ns_per_read = max(costs.gain_ns, 1e-3) * self.horizon_s(seen.now_ns)
        if room_left:
            return costs.promote_ns / saved_ns_per_read
        moves_ns = costs.promote_ns + costs.demote_ns
        return self.victim_reads_per_s(seen) + moves_ns / saved_ns_per_read

    def horizon_s(self, now_ns: int) -> float:
        """Time in which a move must pay back: the age of the phase, within the settings."""
        began_ns = now_ns if self._phase_began_ns is None else self._phase_began_ns
        age_s = (now_ns - began_ns) / _NS_PER_S
        return min(max(age_s, self.settings.first_payback_s), self.settings.payback_s)

    def pace_hz(self, ratio: float | None, passing: int) -> float:
        """Rounds a second: by density, or faster where many pages would win."""
        settings = self.settings
        share = min(1.0, passing / settings.busy_pages)
        eager = settings.min_hz + share * (settings.base_hz - settings.min_hz)
        return min(max(self.frequency_hz(ratio), eager), settings.max_hz)

    def elect(
        self, reads_per_s: F64, eligible: npt.NDArray[np.bool_], seen: Observation
    ) -> Election:
        """Judge nominees (best first) by their expected reads a second."""
        if self._phase_began_ns is None:
            self._phase_began_ns = seen.now_ns
        if seen.shifted:
            self._begin_phase(seen.now_ns)
        into_room = np.cumsum(eligible) <= seen.room_pages
        roomy = self.threshold_reads_per_s(seen, room_left=True)
        full = self.threshold_reads_per_s(seen, room_left=False)
        threshold = np.where(into_room, roomy, full)
        passing = eligible & (reads_per_s > threshold)
        clearly = eligible & (reads_per_s > threshold * self.settings.restart_margin)
        self._turn(int(passing.sum()), int(clearly.sum()))
        ratio = density_ratio(seen.slow, seen.fast)
        if not self.migrating:
            return Election(
                np.zeros_like(passing),
                False,
                self.settings.min_hz,
                full,
                f"stopped: {int(passing.sum())} of {passing.size} candidates would pay back",
            )
        shown = "unknown" if ratio is None else f"{ratio:.2f}"
        pace_hz = self.pace_hz(ratio, int(passing.sum()))
        return Election(
            passing,
            True,
            # What was listed is mostly of the phase before: another look, and soon.
            self.settings.max_hz if seen.shifted else pace_hz,
            full,
            f"migrating: density ratio {shown}, {int(passing.sum())} of {passing.size} pay back",
        )

    def _begin_phase(self, now_ns: int) -> None:
        """What stopped migration was that the last phase had nothing left to gain."""
        self._phase_began_ns = now_ns
        self.migrating = True
        self._idle_rounds = 0

    def _turn(self, passing: int, clearly: int) -> None:
        least = self.settings.stop_below_pages
        if self.migrating:
            self._idle_rounds = self._idle_rounds + 1 if passing < least else 0
            if self._idle_rounds >= self.settings.stop_rounds:
                self.migrating = False
        elif clearly >= least:
            self.migrating = True
            self._idle_rounds = 0
