"""The process that a function runs in: `python -m tiermem.cxlfork.porter.worker FILE`.

FILE is a Python file with `handle(event)`; what it does when it is imported is its
initialisation. Requests come in on descriptor 0 and answers go out on 1, each four bytes
of length (little-endian) and JSON. Between two requests the worker waits in read(2),
which is where it is checkpointed; restored, it has other pipes and goes on.

What the function prints goes to standard error, and from there to the porter's log.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("<I")
MESSAGE_BYTES_MAX = 64 << 20


def frame(message: Any) -> bytes:
    """A message as it goes through a pipe."""
    text = json.dumps(message).encode()
    return LENGTH.pack(len(text)) + text


def _read_exactly(size: int) -> bytes | None:
    """That many bytes of descriptor 0; None where it has ended."""
    parts = bytearray()
    while len(parts) < size:
        part = os.read(0, size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _write(message: Any) -> None:
    rest = memoryview(frame(message))
    while rest:
        rest = rest[os.write(1, rest) :]


def _load(file: Path) -> Callable[[Any], Any]:
    spec = importlib.util.spec_from_file_location("function", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["function"] = module
    spec.loader.exec_module(module)
    handle: Callable[[Any], Any] = module.handle
    return handle


def _answer(handle: Callable[[Any], Any], request: Any) -> Any:
    try:
        return {"result": handle(request)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Load the function, say so, answer until descriptor 0 ends."""
    sys.stdout = sys.stderr
    try:
        handle = _load(Path(sys.argv[1]))
    except Exception as error:
        traceback.print_exc()
        _write({"error": f"cannot be loaded: {type(error).__name__}: {error}"})
        sys.exit(1)
    # What initialisation made stays: no collection should write to its pages, which
    # clones share.
    gc.collect()
    gc.freeze()
    _write({"ready": os.getpid()})
    while (head := _read_exactly(LENGTH.size)) is not None:
        body = _read_exactly(LENGTH.unpack(head)[0])
        if body is None:
            return
        _write(_answer(handle, json.loads(body)))


if __name__ == "__main__":
    main()
