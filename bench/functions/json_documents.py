"""JSON: parse a document, change it, write it again. Many small Python objects."""

from __future__ import annotations

import json
import random
from typing import Any

_rng = random.Random(1)
_RECORDS = [
    {
        "id": n,
        "name": f"user {n}",
        "scores": [_rng.random() for _ in range(8)],
        "active": n % 3 == 0,
    }
    for n in range(20_000)
]
_TEXT = json.dumps(_RECORDS[:500])


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """How many records are active, and the best score, of the document and one's own."""
    records = json.loads(_TEXT) + list(event.get("records", []))
    active = [one for one in records if one["active"]]
    best = max(max(one["scores"]) for one in records)
    return {"active": len(active), "best": best, "bytes": len(json.dumps(active))}
