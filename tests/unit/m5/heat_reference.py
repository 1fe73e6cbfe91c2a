"""The heat table in plain Python, without a limit on pages, as native/heat.h describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tiermem.m5.heat_table import Rules
from tiermem.m5.observation import Verdict


@dataclass
class Page:
    heat: float = 0.0
    visits: float = 0.0
    fresh: int = 0
    round: int = 0
    heat_ns: int = 0
    streak: int = 0
    lines: list[tuple[int, int]] = field(default_factory=list)
    """(round, line)."""


class Reference:
    def __init__(self, half_life_ns: int, mask_rounds: int) -> None:
        self.half_life_ns = half_life_ns
        self.mask_rounds = mask_rounds
        self.pages: dict[int, Page] = {}
        self.vacated: dict[int, tuple[int, int]] = {}

    def add_page(self, number: int, reads: int, heat_ns: int, round_number: int) -> None:
        page = self.pages.setdefault(number, Page(heat_ns=heat_ns))
        if page.round != round_number:
            left = 2.0 ** (-(heat_ns - page.heat_ns) / self.half_life_ns)
            in_a_row = page.round and round_number - page.round == 1
            page.streak = page.streak + 1 if in_a_row else 1
            page.heat *= left
            page.visits = page.visits * left + (page.streak != 2)
            page.round, page.heat_ns, page.fresh = round_number, heat_ns, 0
        page.heat += reads
        page.fresh += reads

    def add_line(self, line: int, round_number: int) -> None:
        if line // 64 in self.pages:
            self.pages[line // 64].lines.append((round_number, line % 64))

    def hot_lines(self, page: Page, round_number: int) -> int:
        """Lines of this span of rounds and the one before."""
        span = round_number // self.mask_rounds
        return len({line for number, line in page.lines if number // self.mask_rounds >= span - 1})

    def rate(self, page: Page, rules: Rules) -> float:
        bursts = max(page.visits, page.heat / 64)
        known = max(0.0, 1 - rules.caution / math.sqrt(bursts))
        window_s = max(rules.window_s - rules.interval_s / 2, 1e-3)
        return known * (page.heat - page.fresh / 2) / window_s

    def verdict(self, number: int, rules: Rules, now_ns: int, round_number: int) -> Verdict:
        page = self.pages[number]
        if page.visits < rules.min_visits and page.heat < rules.sure_reads:
            return Verdict.ONE_OFF
        if self.hot_lines(page, round_number) < rules.min_hot_lines:
            return Verdict.SPARSE
        since_ns, strikes = self.vacated.get(number, (-(1 << 62), 0))
        held = now_ns - since_ns < rules.backoff_ns << strikes
        return Verdict.BACKED_OFF if held else Verdict.PROMOTE

    def vacate(self, number: int, now_ns: int) -> None:
        self.pages.pop(number, None)
        _, strikes = self.vacated.get(number, (0, -1))
        self.vacated[number] = (now_ns, min(strikes + 1, 8))
