"""Reads hot pages that begin on the slow node until the service has moved most of them up.

    python3 hot_pages.py SECONDS

Prints as JSON where the hot pages were and are, by node; SECONDS at most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "m5/in_guest"))

from hot_and_cold import MOST, Memory, read_for


def main() -> None:
    """See the module."""
    memory = Memory(slow_node=1, together=False)
    before = memory.nodes(memory.hot)
    read_for(memory, float(sys.argv[1]), until_fast=MOST)
    print(json.dumps({"before": before, "after": memory.nodes(memory.hot)}))


if __name__ == "__main__":
    main()
