"""Attention of prefills over blocks of keys and values, as `_prefill_attention`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

FOLDER = "userspace/tiermem/native"


def ffi(root: Path) -> cffi.FFI:
    """Describes `_prefill_attention`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(declarations([root / FOLDER / "prefill_attention.h"]))
    builder.set_source(
        "_prefill_attention",
        '#include "prefill_attention.h"',
        sources=[str(root / FOLDER / "prefill_attention.c")],
        include_dirs=[str(root / FOLDER)],
        # Loops over registers have to be unrolled.
        extra_compile_args=["-std=gnu99", "-O3", "-Wall", "-Wextra"],
    )
    return builder
