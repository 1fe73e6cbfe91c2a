"""Calls functions of the porter: `porter_calls.py IN_A_ROW AT_ONCE NAME...`; answers as JSON."""

from __future__ import annotations

import http.client
import json
import sys
from typing import Any


def send(connections: list[http.client.HTTPConnection], name: str) -> None:
    """A call over each of them, before anything is heard."""
    for one in connections:
        one.request("POST", f"/invoke/{name}", "{}")


def hear(connection: http.client.HTTPConnection) -> dict[str, Any]:
    """The answer."""
    said: dict[str, Any] = json.load(connection.getresponse())
    return said


def calls(name: str, in_a_row: int, at_once: int) -> list[dict[str, Any]]:
    connections = [http.client.HTTPConnection("127.0.0.1", 8470) for _ in range(at_once)]
    for one in connections:
        one.connect()
    answers = []
    for _ in range(in_a_row):
        send(connections[:1], name)
        answers.append(hear(connections[0]))
    send(connections, name)
    return [*answers, *map(hear, connections)]


if __name__ == "__main__":
    counts = (int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({name: calls(name, *counts) for name in sys.argv[3:]}))
