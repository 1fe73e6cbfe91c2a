"""The process that is started, forked and restored: a function and the state it keeps.

`python3 fork_process.py FILE MIB FORKED` loads a function of bench/functions and makes
state until its private memory has MIB: 23 % that each call reads, 4.8 % that each call
writes, and the rest, which only initialisation touches (the mean of CXLfork's functions,
ASPLOS 2025). It is asked on descriptor 0 and answers on 1, both pipes:

WAKE   itself at once: the first useful instruction after a start
CALL   does a call; answers with a checksum of all that it returned and has counted
FORK   forks; answers with the child's pid. The child is asked on the named pipe
       FORKED.in and answers on FORKED.out

It imports nothing of the project, so that it starts as any function does.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

WAKE, CALL, FORK = b"w", b"c", b"f"
NUMBER = struct.Struct("<Q")
READ_SHARE, WRITTEN_SHARE = 0.23, 0.048
_PAGE_BYTES = 4096
_PATTERN = bytes(range(256)) * 16


def private_bytes() -> int:
    """Anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise OSError("/proc/self/status has no RssAnon")


class State:
    """What fills the process up to its footprint."""

    def __init__(self, footprint_bytes: int) -> None:
        self._read = _PATTERN * _times(READ_SHARE * footprint_bytes)
        self._written = bytearray(_PATTERN) * _times(WRITTEN_SHARE * footprint_bytes)
        left = footprint_bytes - private_bytes()
        if left < 0:
            raise SystemExit(f"{-left} bytes more than the footprint without any state")
        self._initial = _PATTERN * _times(left)
        self._calls = 0

    def use(self) -> tuple[int, int]:
        """What a call does with it: a hash over all that it reads, a word to each page
        that it writes."""
        self._calls += 1
        for at in range(0, len(self._written), _PAGE_BYTES):
            NUMBER.pack_into(self._written, at, self._calls)
        return hash(memoryview(self._read)), NUMBER.unpack_from(self._written)[0]


def _times(size: float) -> int:
    return int(size) // len(_PATTERN)


def load(file: Path) -> Any:
    """The function `handle` of a file."""
    spec = importlib.util.spec_from_file_location("function", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["function"] = module
    spec.loader.exec_module(module)
    return module.handle


def _become_child(forked: str) -> None:
    for descriptor, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY)):
        fifo = os.open(f"{forked}.{name}", flags)
        os.dup2(fifo, descriptor)
        os.close(fifo)


def main() -> None:
    """Make the state, answer until descriptor 0 ends."""
    file, mib, forked = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    handle = load(Path(file))
    state = State(int(mib) << 20)
    # As the porter does: no collection should write to what initialisation made.
    gc.collect()
    gc.freeze()
    while command := os.read(0, 1):
        if command == WAKE:
            os.write(1, WAKE)
        elif command == CALL:
            said = json.dumps([handle({}), state.use()])
            os.write(1, NUMBER.pack(zlib.crc32(said.encode())))
        elif command == FORK:
            child = os.fork()
            if child:
                os.write(1, NUMBER.pack(child))
            else:
                _become_child(forked)


if __name__ == "__main__":
    main()
