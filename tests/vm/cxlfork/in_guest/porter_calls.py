"""Calls functions of the porter: `porter_calls.py IN_A_ROW AT_ONCE NAME...`; answers as JSON."""

from __future__ import annotations

import json
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

URL = "http://127.0.0.1:8470/invoke/"


def call(name: str) -> dict[str, Any]:
    with urllib.request.urlopen(URL + name, b"{}", timeout=300) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def calls(name: str, in_a_row: int, at_once: int) -> list[dict[str, Any]]:
    first = [call(name) for _ in range(in_a_row)]
    with ThreadPoolExecutor(at_once) as threads:
        return [*first, *threads.map(call, [name] * at_once)]


if __name__ == "__main__":
    counts = (int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({name: calls(name, *counts) for name in sys.argv[3:]}))
