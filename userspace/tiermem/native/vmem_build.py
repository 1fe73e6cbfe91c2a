"""Reserved address ranges that get memory piece by piece, as `_vmem`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

FOLDER = "userspace/tiermem/native"


def ffi(root: Path) -> cffi.FFI:
    """Describes `_vmem`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(declarations([root / FOLDER / "vmem.h"]))
    builder.set_source(
        "_vmem",
        '#include "vmem.h"',
        sources=[str(root / FOLDER / "vmem.c")],
        include_dirs=[str(root / FOLDER)],
        extra_compile_args=["-std=gnu99", "-O2", "-Wall", "-Wextra"],
    )
    return builder
