"""Breadth-first search in a random graph. Pointer chasing over large arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

_NODES = 1 << 18
_DEGREE = 16
_rng = np.random.default_rng(1)
_NEIGHBOURS = _rng.integers(0, _NODES, (_NODES, _DEGREE), dtype=np.int32)


def handle(event: dict[str, Any]) -> dict[str, int]:
    """Nodes reached from `source`, and in how many steps at most (limit: `depth`)."""
    seen = np.zeros(_NODES, dtype=bool)
    frontier = np.array([int(event.get("source", 0)) % _NODES], dtype=np.int32)
    seen[frontier] = True
    steps = 0
    while len(frontier) and steps < int(event.get("depth", 4)):
        reached = np.unique(_NEIGHBOURS[frontier])
        frontier = reached[~seen[reached]]
        seen[frontier] = True
        steps += 1
    return {"reached": int(seen.sum()), "steps": steps}
