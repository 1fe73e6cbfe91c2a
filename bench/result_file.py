"""Where a benchmark's results go. Apart, for those that run without the testbed's packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
OUT = CHECKOUT / "bench/out"


def write_json(path: Path, tree: dict[str, Any]) -> None:
    """Write the result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(tree, indent=1, default=str) + "\n")
    scratch.replace(path)
