"""The kernel's placement calls (mbind, move_pages, …) as `_syscalls`; no libnuma needed."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

FOLDER = "userspace/tiermem/native"


def ffi(root: Path) -> cffi.FFI:
    """Describes `_syscalls`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(declarations([root / FOLDER / "syscalls.h"]))
    builder.set_source(
        "_syscalls",
        '#include "syscalls.h"',
        sources=[str(root / FOLDER / "syscalls.c")],
        include_dirs=[str(root / FOLDER), str(root / "kmod/uapi")],
        extra_compile_args=["-std=gnu99", "-O2", "-Wall", "-Wextra"],
    )
    return builder
