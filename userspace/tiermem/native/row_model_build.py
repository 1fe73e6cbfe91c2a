"""A row's own code on a model of hosts without coherence, as `_row_model`, for tests."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, COPIES, FOLDER
from tiermem.native.pool_model_build import MODELS


def ffi(root: Path) -> cffi.FFI:
    """Describes `_row_model`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / "row_model.h"]))
    builder.set_source(
        "_row_model",
        '#include "row_model.h"',
        sources=[
            *(str(folder / name) for name in ("row.c", "row_model.c", "model_sites.c", *COPIES)),
            str(root / MODELS / "incoherent.c"),
        ],
        include_dirs=[str(folder), str(root / MODELS)],
        extra_compile_args=["-DHOST_MODEL", *COMPILE_ARGS],
    )
    return builder
