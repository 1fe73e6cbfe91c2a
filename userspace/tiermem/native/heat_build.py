"""The heat table of M5's nominator as `_heat`: it goes through thousands of pages a round."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

FOLDER = "userspace/tiermem/native"
SOURCES = ("heat_table.c", "heat_judge.c", "vacancies.c", "weight_sort.c")


def ffi(root: Path) -> cffi.FFI:
    """Describes `_heat`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(declarations([root / FOLDER / "heat.h"]))
    builder.set_source(
        "_heat",
        '#include "heat.h"',
        sources=[str(root / FOLDER / name) for name in SOURCES],
        include_dirs=[str(root / FOLDER)],
        extra_compile_args=["-std=gnu99", "-O2", "-flto", "-Wall", "-Wextra"],
        extra_link_args=["-lm"],
    )
    return builder
