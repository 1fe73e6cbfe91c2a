"""Linear algebra: solve a system whose factors were computed at initialisation."""

from __future__ import annotations

from typing import Any

import numpy as np

_N = 600
_rng = np.random.default_rng(1)
_MATRIX = _rng.standard_normal((_N, _N)) + _N * np.eye(_N)
_INVERSE = np.linalg.inv(_MATRIX)


def handle(event: dict[str, Any]) -> dict[str, float]:
    """The solution for a right-hand side made from `seed`: its norm and what is left over."""
    right = np.random.default_rng(int(event.get("seed", 0))).standard_normal(_N)
    solution = _INVERSE @ right
    left_over = float(np.abs(_MATRIX @ solution - right).max())
    return {"norm": float(np.linalg.norm(solution)), "residual": left_over}
