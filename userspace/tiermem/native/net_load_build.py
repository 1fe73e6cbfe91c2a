"""Load on sockets, and a relay, as `_net_load`, for bench/net_load.py."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER


def ffi(root: Path) -> cffi.FFI:
    """Describes `_net_load`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / "net_load.h"]))
    builder.set_source(
        "_net_load",
        '#include "net_load.h"',
        sources=[str(folder / name) for name in ("net_load.c", "net_socket.c")],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
