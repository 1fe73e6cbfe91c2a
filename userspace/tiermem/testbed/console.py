"""An interactive shell in a guest: this terminal, joined to the guest's console socket."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from tiermem.errors import ConfigError

LEAVE = b"\x1d"  # Ctrl-]
_CHUNK_BYTES = 65536


def interact(console: Path) -> None:
    """Join standard input and output to the console until Ctrl-] or the guest's end."""
    if not sys.stdin.isatty():
        raise ConfigError("a shell needs a terminal; to run one command: tiermem testbed exec")
    with socket.socket(socket.AF_UNIX) as link, _raw_terminal(sys.stdin.fileno()):
        link.connect(str(console))
        columns, rows = os.get_terminal_size()
        # A line end wakes the prompt; the console does not know the window's size.
        link.sendall(f" stty rows {rows} columns {columns}\n".encode())
        while _pass_on(link):
            pass


def _pass_on(link: socket.socket) -> bool:
    ready, _, _ = select.select([link, sys.stdin], [], [])
    if link in ready:
        output = link.recv(_CHUNK_BYTES)
        if not output:
            return False
        os.write(sys.stdout.fileno(), output)
    if sys.stdin in ready:
        typed = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
        if not typed or LEAVE in typed:
            return False
        link.sendall(typed)
    return True


@contextlib.contextmanager
def _raw_terminal(descriptor: int) -> Iterator[None]:
    saved = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)
