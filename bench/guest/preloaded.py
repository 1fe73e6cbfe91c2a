"""Starts the daemon without paying for its imports each time: a process that has them, and forks.

`python3 -m bench.guest.preloaded SOCKET` imports what `tiermem m5 run` needs,
then, for each line "CONFIG LOG" on the socket, forks a child that runs that
command with its output in LOG, and answers with the child's pid. Only start-up
is saved, which no figure contains; the daemon's own code is all there.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

SOCKET = Path("/run/bench-preloaded.sock")


def start_m5(config: Path, log: Path) -> int:
    """Have a daemon started; its pid."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(SOCKET))
        connection.sendall(f"{config} {log}\n".encode())
        with connection.makefile() as stream:
            return int(stream.readline())


def _become_m5(config: str, log: str) -> None:
    from tiermem.cli.main import main

    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    sys.argv = ["tiermem", "m5", "run", "--config", config]
    main()


def serve() -> None:
    """Import, then fork a daemon for each line received."""
    import tiermem.cli.m5
    import tiermem.m5.serve  # noqa: F401 (imported for the children)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    SOCKET.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(SOCKET))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as stream:
                config, _, log = stream.readline().strip().partition(" ")
                child = os.fork()
                if child == 0:
                    listener.close()
                    _become_m5(config, log)
                    sys.exit(0)
                stream.write(f"{child}\n")


if __name__ == "__main__":
    serve()
