"""Float arithmetic: square roots and sines in plain Python. Hardly any memory."""

from __future__ import annotations

import math
from typing import Any


def handle(event: dict[str, Any]) -> float:
    """The sum over n numbers (default 10 000)."""
    return sum(math.sqrt(n) * math.sin(n) for n in range(int(event.get("n", 10_000))))
