"""`explain PID`: where a process' memory lies, and why its last pages moved or did not.

Rounds remember page frames, not processes, for a page's owner costs a walk of
page tables. So the frames of the one process in question are read first; then
some rounds are watched, in which a page that moves can still be named. Of
earlier rounds, those pages can be named that are where they were: a frame whose
page moved up has been given to somebody else since, most often to a page that
was pushed down for it.
"""

from __future__ import annotations

import time
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
_NONE: U64 = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Frames:
    """A process' frames, and the (monotonic) time in which its page map was read."""

    index: FrameIndex
    began_ns: int
    ended_ns: int


def read_frames(pid: int, proc: Path) -> Frames:
    """The frames of `pid` now. A big process takes seconds: not for an event loop."""
    began_ns = time.monotonic_ns()
    index = FrameIndex([pid], proc)
    return Frames(index, began_ns, time.monotonic_ns())


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


def explain(
    pid: int, frames: Frames, rounds: Iterable[Round], proc: Path, outside: str = ""
) -> dict[str, Any]:
    """The answer for `pid`, whose `frames` these are; `rounds` oldest first.

    `outside` is the part of the scope that leaves `pid` out, if one does.
    Raises ProcessGoneError for a process that has ended.
    """
    stories = _tell(frames, list(rounds))
    verdicts: dict[str, int] = {}
    results: dict[str, int] = {}
    for story in stories.values():
        name = story.verdict.name.lower()
        verdicts[name] = verdicts.get(name, 0) + 1
        if story.result is not None:
            name = story.result.name.lower()
            results[name] = results.get(name, 0) + 1
    hottest = sorted(stories.values(), key=lambda story: -story.reads_per_s)
    return {
        "pid": pid,
        "outside": outside,
        "bytes_by_node": {str(node): size for node, size in bytes_by_node(pid, proc).items()},
        "pages_considered": len(stories),
        "verdicts": verdicts,
        "results": results,
        "meanings": {name: VERDICT_MEANING[Verdict[name.upper()]] for name in verdicts},
        "pages": [story.as_json() for story in hottest[:PAGES_SHOWN]],
    }


def _tell(frames: Frames, rounds: list[Round]) -> dict[int, PageStory]:
    """By frame, what the last round that can have meant the process' page said of it."""
    # The list after a move has the reads by which the page was copied out of its frame.
    left = {one.number + 1: one.left for one in rounds}
    stories: dict[int, PageStory] = {}
    earlier = [one for one in rounds if one.now_ns <= frames.ended_ns]
    # What moved while the map was read may be in it under its old frame or its new one.
    closed = _union(one.left for one in earlier if one.now_ns >= frames.began_ns)
    for one in rounds[len(earlier) :]:
        unsure = _union([closed, left.get(one.number, _NONE)])
        stories.update(_stories(one, frames.index, unsure))
        closed = _union([closed, one.left])
    closed = _union([closed, np.array(list(stories), dtype=np.uint64)])
    # Newest first and each page once: a page may be in every one of the rounds.
    for one in reversed(earlier):
        closed = _union([closed, one.left])
        news = _stories(one, frames.index, _union([closed, left.get(one.number, _NONE)]))
        stories.update(news)
        closed = _union([closed, np.array(list(news), dtype=np.uint64)])
    return stories


def _union(parts: Iterable[U64]) -> U64:
    return np.unique(np.concatenate([_NONE, *parts]))


def _stories(one: Round, index: FrameIndex, closed: U64) -> dict[int, PageStory]:
    """What a round said of the frames that are not in `closed`."""
    owners = index.find(one.pages[~np.isin(one.pages, closed)]).first_of_each()
    if len(owners) == 0:
        return {}
    order = np.argsort(one.pages)
    places = order[np.searchsorted(one.pages[order], owners.pfns)]
    return {
        pfn: PageStory(
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
    }
