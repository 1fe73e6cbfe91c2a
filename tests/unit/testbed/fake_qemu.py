"""A stand-in for QEMU and its guest: `python fake_qemu.py MOOD QEMU-ARGUMENT...`.

It opens the sockets that QEMU would and answers as monitor and guest agent do. MOOD is
"ready", or how it fails: "exits" at once, "silent" agent, units that are "unready".
The guest knows four commands: systemctl, `bytes`, `hang` (until killed) and `die`;
`deaf` is a hang that cannot be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOOD, WORDS = sys.argv[1], sys.argv[2:]
hanging: list[Path] = []


def path_of(start: str) -> Path:
    """The path in the QEMU option that starts so."""
    (value,) = (word for word in WORDS if word.startswith(start))
    return Path(re.split(r"path=", value)[1].split(",")[0])


def run(token: str, command: list[str]) -> None:
    """What /usr/local/lib/tiermem/run does in a guest."""
    files = path_of("local,id=exec") / token
    files.with_suffix(".pid").write_text("123\n")
    if command[0] == "die":
        os._exit(1)
    if command[0] in ("hang", "deaf") or (command[0] == "systemctl" and MOOD == "unready"):
        hanging.extend([files.with_suffix(".status")] if command[0] != "deaf" else [])
        return
    output = {"systemctl": b"running\n", "bytes": b"\xff\0\r\n"}[command[0]]
    files.with_suffix(".out").write_bytes(output)
    files.with_suffix(".err").write_bytes(b"\x80")
    files.with_suffix(".status").write_text("0\n")


def answer(order: dict[str, Any]) -> object:
    """What a command of the monitor or the agent returns."""
    arguments = order.get("arguments", {})
    if order["execute"] == "guest-sync":
        return arguments["id"]
    if order["execute"] == "guest-exec" and arguments["path"] == "/bin/sh":
        for status in hanging:
            status.write_text("137\n")
    elif order["execute"] == "guest-exec":
        token, _, *words = arguments["arg"]
        run(token, [word for word in words if "=" not in word])
    return {}


class Monitor(socketserver.StreamRequestHandler):
    """One connection: an order in, an answer out."""

    greeting = True

    def handle(self) -> None:
        """Until the other side leaves."""
        if self.greeting:
            version = {"qemu": {"major": 11, "minor": 0, "micro": 0}, "package": ""}
            self.say({"QMP": {"version": version, "capabilities": []}})
        for order in self.orders():
            if self.greeting or MOOD != "silent":
                self.say({"return": answer(order), "id": order.get("id")})

    def orders(self) -> Iterator[dict[str, Any]]:
        """What comes, which is not in lines."""
        came = b""
        while more := self.request.recv(65536):
            came += more
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(came)
                came = b""

    def say(self, message: dict[str, object]) -> None:
        """One line."""
        self.wfile.write(json.dumps(message).encode() + b"\n")


class Agent(Monitor):
    """The guest's agent begins with no word."""

    greeting = False


if MOOD == "exits":
    sys.exit("no such device")
path_of("file,id=serial").write_text("Linux version 7.3\n")
# The monitors last: who reaches one takes it that the agent's socket is there.
handlers: list[tuple[Path, type[Monitor]]] = [(path_of("socket,id=agent"), Agent)]
handlers += [(Path(w[5:].split(",")[0]), Monitor) for w in WORDS if w.startswith("unix:")]
for path, handler in handlers:
    path.unlink(missing_ok=True)
    server = socketserver.ThreadingUnixStreamServer(str(path), handler)
    threading.Thread(target=server.serve_forever).start()
