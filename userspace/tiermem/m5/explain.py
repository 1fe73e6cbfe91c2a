"""`explain PID`: where a process' memory lies, and why its last pages moved or did not.

Rounds remember page frames, not processes, for a page's owner costs a walk of
page tables. So the frames of the one process in question are indexed first;
then some rounds are watched, in which a page that moves can still be named; of
earlier rounds, those pages can be named that are where they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiermem.layer.pages import FrameIndex, bytes_by_node
from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.hotlist import U64
from tiermem.m5.observation import VERDICT_MEANING, Verdict
from tiermem.m5.rounds import NOT_ASKED, Round

PAGES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class PageStory:
    """What the last round that considered a page said of it."""

    address: int
    pfn: int
    round_number: int
    reads_per_s: float
    verdict: Verdict
    result: PromoteCode | None

    def as_json(self) -> dict[str, Any]:
        """For the local API; `why` is for people."""
        why = VERDICT_MEANING[self.verdict]
        if self.result is not None:
            why += f"; {self.result.meaning}"
        return {
            "address": hex(self.address),
            "pfn": self.pfn,
            "round": self.round_number,
            "reads_per_s": round(self.reads_per_s, 1),
            "verdict": self.verdict.name.lower(),
            "result": None if self.result is None else self.result.name.lower(),
            "why": why,
        }


def explain(pid: int, index: FrameIndex, rounds: Iterable[Round], proc: Path) -> dict[str, Any]:
    """The answer for `pid`, whose frames `index` has; `rounds` oldest first.

    Raises ProcessGoneError for a process that has ended.
    """
    stories: dict[int, PageStory] = {}
    verdicts: dict[str, int] = {}
    results: dict[str, int] = {}
    # Newest first and each page once: a page may be in every one of the rounds.
    told = np.empty(0, dtype=np.uint64)
    for one in reversed(list(rounds)):
        news = _stories(one, index, told)
        stories.update({story.pfn: story for story in news})
        told = np.union1d(told, np.array([story.pfn for story in news], dtype=np.uint64))
    for story in stories.values():
        name = story.verdict.name.lower()
        verdicts[name] = verdicts.get(name, 0) + 1
        if story.result is not None:
            name = story.result.name.lower()
            results[name] = results.get(name, 0) + 1
    hottest = sorted(stories.values(), key=lambda story: -story.reads_per_s)
    return {
        "pid": pid,
        "bytes_by_node": {str(node): size for node, size in bytes_by_node(pid, proc).items()},
        "pages_considered": len(stories),
        "verdicts": verdicts,
        "results": results,
        "meanings": {name: VERDICT_MEANING[Verdict[name.upper()]] for name in verdicts},
        "pages": [story.as_json() for story in hottest[:PAGES_SHOWN]],
    }


def _stories(one: Round, index: FrameIndex, told: U64) -> list[PageStory]:
    """What a round said of the pages that are not in `told`."""
    owners = index.find(one.pages[~np.isin(one.pages, told)]).first_of_each()
    if len(owners) == 0:
        return []
    order = np.argsort(one.pages)
    places = order[np.searchsorted(one.pages[order], owners.pfns)]
    return [
        PageStory(
            address,
            pfn,
            one.number,
            float(one.decision.reads_per_s[place]),
            Verdict(int(one.decision.verdicts[place])),
            None if one.results[place] == NOT_ASKED else PromoteCode(int(one.results[place])),
        )
        for address, pfn, place in zip(
            owners.addresses.tolist(), owners.pfns.tolist(), places.tolist(), strict=True
        )
    ]
