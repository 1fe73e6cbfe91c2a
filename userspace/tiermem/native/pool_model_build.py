"""The pool's own code on a model of hosts without coherence, as `_pool_model`, for tests."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, COPIES, FOLDER, PROTOCOL

MODELS = "fpga_models/hosts"
MODEL = ("pool_model.c", "pool_model_calls.c")


def ffi(root: Path) -> cffi.FFI:
    """Describes `_pool_model`; `root` is the checkout."""
    headers = [root / FOLDER / name for name in ("pool_layout.h", "pool.h", "pool_model.h")]
    headers += [root / FOLDER / "pool_copy.h", root / MODELS / "incoherent.h"]
    builder = cffi.FFI()
    builder.cdef(declarations(headers))
    builder.set_source(
        "_pool_model",
        "\n".join(f'#include "{header.name}"' for header in headers),
        sources=[
            *(str(root / FOLDER / name) for name in (*PROTOCOL, *COPIES, *MODEL)),
            str(root / MODELS / "incoherent.c"),
        ],
        include_dirs=[str(root / FOLDER), str(root / MODELS)],
        extra_compile_args=["-DPOOL_MODEL", *COMPILE_ARGS],
    )
    return builder
