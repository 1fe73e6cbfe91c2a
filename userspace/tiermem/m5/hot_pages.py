"""Hot pages of the slow tier by process, for `top`: looked up only while somebody looks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tiermem.layer.pages import find_owners
from tiermem.layer.sysfs import Tree, numbered, read_text
from tiermem.m5.rounds import Rounds

_LIFE_S = 2.0


class HotPages:
    """Answers at most every two seconds anew: it reads the page maps of all processes."""

    def __init__(self, rounds: Rounds, tree: Tree) -> None:
        self._rounds = rounds
        self._tree = tree
        self._answer: list[dict[str, Any]] = []
        self._asked_s = float("-inf")

    def by_process(self) -> list[dict[str, Any]]:
        """pid, command, hot pages and their reads a second, hottest process first."""
        now_s = time.monotonic()
        if now_s - self._asked_s > _LIFE_S:
            self._asked_s = now_s
            self._answer = self._look_up()
        return self._answer

    def _look_up(self) -> list[dict[str, Any]]:
        last = next((one for one in reversed(self._rounds.recent)), None)
        if last is None:
            return []
        pids = numbered(self._tree.proc, "")
        owners = find_owners(last.pages, pids, self._tree.proc)
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
