"""Keeps the kernel-cpu probe attached and tells its totals: `python3 -m bench.guest.kernel_cost`.

Compiling a probe costs seconds of guest time, so one process does it once a
boot and answers on a Unix socket: a line "read" is answered with the matrix as
JSON, "apart PID" charges that process to a row that does not count.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

SOCKET = Path("/run/bench-kernel-cost.sock")
ANSWER_S = 60.0


def is_running() -> bool:
    """Whether the probe is attached."""
    return SOCKET.exists()


def ask(line: str) -> dict[str, Any]:
    """Send one line to the process that holds the probe; its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(str(SOCKET))
        with connection.makefile("rw") as stream:
            stream.write(line + "\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
            return answer


def serve() -> None:
    """Attach, then answer one connection after the other, for ever."""
    from tiermem.probes import Probe

    with Probe("kernel-cpu") as probe, socket.socket(socket.AF_UNIX) as listener:
        SOCKET.unlink(missing_ok=True)
        listener.bind(str(SOCKET))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as stream:
                word, _, rest = stream.readline().strip().partition(" ")
                if word == "apart":
                    probe.set_apart([int(rest)])
                stream.write(json.dumps(probe.read().as_dict()) + "\n")


if __name__ == "__main__":
    serve()
