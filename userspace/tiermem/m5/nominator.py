"""Nominator: which listed pages deserve a place in the fast tier, best first.

Three sources of evidence, as in the paper: `hpt` takes hot pages as they come;
`hwt` rebuilds a bit mask of hot 64 B lines per page and takes dense pages;
`hpt+hwt` takes hot pages and lets each hot line add weight, so that of two
equally hot pages the dense one goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tiermem.m5.heat_table import HeatTable, Rules
from tiermem.m5.hotlist import F64, LINES_PER_PAGE, U64, HotList, Unit
from tiermem.m5.observation import Outcome
from tiermem.service.config import Settings

NominatorMode = Literal["hpt", "hwt", "hpt+hwt"]
_MS = 1_000_000
_S = 1e9
# A change of phase leaves next to nothing of the heat.
_HALF_LIVES_FORGOTTEN = 10
# Where lists come seldom (DAMON's, or on a busy host), memory is to span some of
# them all the same: a round ages it by this share of the half-life at most.
_OLDEST_ROUND = 0.25


class NominatorSettings(Settings):
    """Config section [nominator]."""

    mode: NominatorMode = "hpt+hwt"
    half_life_ms: float = Field(default=4000.0, gt=0, le=3_600_000)
    min_visits: int = Field(default=2, ge=1, le=8)
    sure_count: int = Field(default=2 * LINES_PER_PAGE, ge=1)
    caution: float = Field(default=0.75, ge=0, le=10)
    min_hot_lines: int = Field(default=4, ge=1, le=LINES_PER_PAGE)
    line_weight: float = Field(default=1.0, ge=0, le=64)
    mask_lists: int = Field(default=8, ge=1, le=1024)
    backoff_ms: float = Field(default=1000.0, ge=0, le=3_600_000)
    table_pages: int = Field(default=131072, ge=64, le=1 << 24)


@dataclass(frozen=True, slots=True)
class Nominees:
    """Candidates best first: page number, expected reads a second, hot lines, verdict."""

    pages: U64
    reads_per_s: F64
    hot_lines: npt.NDArray[np.uint32]
    verdicts: npt.NDArray[np.uint8]


class Nominator:
    """Keeps decayed heat and line masks across lists; see `nominate`."""

    def __init__(self, settings: NominatorSettings) -> None:
        self.settings = settings
        self._half_life_ns = round(settings.half_life_ms * _MS)
        self._table = HeatTable(settings.table_pages, self._half_life_ns, settings.mask_lists)
        self._round = 0
        self._heat_ns = 0
        self._aged_ns = 0
        self._window_ns = 0.0
        self._last_ns: int | None = None
        self._phase_ns: int | None = None

    def nominate(
        self, lists: tuple[HotList, ...], now_ns: int, floor_reads_per_s: float = 0.0
    ) -> Nominees:
        """Take one round's lists in and judge the pages they name.

        Pages expected to be read less than `floor_reads_per_s` are not reported:
        where nothing comes near to being worth a move, that is nearly all of them,
        and the round costs next to nothing.
        """
        self._round += 1
        interval_ns = max((one.interval_ns for one in lists), default=0)
        heat_ns = self._age(now_ns, interval_ns)
        mode = self.settings.mode
        # Pages first, so that lines find them.
        for one in sorted(lists, key=lambda one: one.unit is Unit.LINE):
            if one.unit is Unit.PAGE or mode != "hpt":
                self._table.add(one, heat_ns, self._round, as_heat=mode == "hwt")
        listed = sum(one.addresses.size for one in lists)
        rules = self._rules(interval_ns, floor_reads_per_s)
        found = self._table.judge(rules, listed, now_ns, heat_ns, self._round)
        if self._phase_ns is not None:
            self._window_ns = min(self._window_ns, self._phase_ns)
            self._phase_ns = None
        return Nominees(
            pages=found["page"].copy(),
            reads_per_s=found["reads_per_s"].copy(),
            hot_lines=found["hot_lines"].copy(),
            verdicts=found["verdict"].astype(np.uint8),
        )

    def forget(self, phase_ns: int) -> None:
        """What was learnt is of a phase that is over: another began `phase_ns` ago at most.

        The lists that come next are of both. Judged now, their reads are spread over
        the whole interval, which is cautious; later, they are counted as reads of
        the new phase, in the time that it had by now.
        """
        self._heat_ns += _HALF_LIVES_FORGOTTEN * self._half_life_ns
        self._phase_ns = phase_ns

    def settle(self, outcome: Outcome) -> None:
        """Forget pages that left the slow tier, back off from those that could not be moved."""
        self._table.vacate(outcome.moved, outcome.now_ns)
        self._table.vacate(outcome.refused, outcome.now_ns)

    def _rules(self, interval_ns: int, floor_reads_per_s: float) -> Rules:
        settings = self.settings
        return Rules(
            window_s=self._window_ns / _S,
            interval_s=interval_ns / _S,
            floor_reads_per_s=floor_reads_per_s,
            # Visits decay: of so many, some are old.
            min_visits=settings.min_visits - 0.5,
            sure_reads=settings.sure_count,
            caution=settings.caution,
            line_weight=0.0 if settings.mode == "hpt" else settings.line_weight,
            min_hot_lines=settings.min_hot_lines if settings.mode == "hwt" else 0,
            backoff_ns=round(settings.backoff_ms * _MS),
        )

    def _age(self, now_ns: int, interval_ns: int) -> int:
        """Let heat age until now, and with it the time observed that it is divided by.

        Returns the clock that heat goes by: slower than time where rounds are far
        apart, and with a leap where what was learnt is to be forgotten.
        """
        elapsed_ns = 0 if self._last_ns is None else max(0, now_ns - self._last_ns)
        self._last_ns = now_ns
        self._heat_ns += min(elapsed_ns, round(_OLDEST_ROUND * self._half_life_ns))
        left = 2.0 ** (-(self._heat_ns - self._aged_ns) / self._half_life_ns)
        self._aged_ns = self._heat_ns
        self._window_ns = self._window_ns * left + interval_ns
        return self._heat_ns
