"""Hot pages of the slow tier by process, for `top`: looked up only while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tiermem.layer.pages import find_owners
from tiermem.layer.sysfs import Tree, numbered, read_text
from tiermem.m5.rounds import Round

_LIFE_S = 2.0
# A round's list holds until the next round is due, and this much longer.
_GRACE_NS = 3_000_000_000


class HotPages:
    """Answers at most every two seconds anew: it reads the page maps of all processes.

    That may take seconds; let one thread at a time do it, and not the event loop's.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._answer: list[dict[str, Any]] = []
        self._asked_s = float("-inf")

    def by_process(self, rounds: Sequence[Round]) -> list[dict[str, Any]]:
        """pid, command, hot pages and their reads a second, hottest process first.

        By the last of `rounds` (oldest first), if it is not a thing of the past.
        """
        now_s = time.monotonic()
        if now_s - self._asked_s > _LIFE_S:
            self._answer = self._look_up(rounds[-2:]) if rounds else []
            self._asked_s = time.monotonic()
        return self._answer

    def _look_up(self, rounds: Sequence[Round]) -> list[dict[str, Any]]:
        last = rounds[-1]
        if time.monotonic_ns() - last.now_ns > last.decision.next_round_ns + _GRACE_NS:
            return []
        pids = numbered(self._tree.proc, "")
        # A list also has the frames that the round before emptied, by the reads of the copy.
        left = [one.left for one in rounds if one.number >= last.number - 1]
        there = np.setdiff1d(last.pages, np.concatenate(left))
        owners = find_owners(there, pids, self._tree.proc)
        order = np.argsort(last.pages)
        places = order[np.searchsorted(last.pages[order], owners.pfns)]
        reads = last.decision.reads_per_s[places]
        found = [
            {
                "pid": pid,
                "command": read_text(self._tree.proc / str(pid) / "comm") or "?",
                "hot_pages": int((owners.pids == pid).sum()),
                "reads_per_s": float(reads[owners.pids == pid].sum()),
            }
            for pid in np.unique(owners.pids).tolist()
        ]
        return sorted(found, key=lambda one: -one["reads_per_s"])
