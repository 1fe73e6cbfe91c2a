"""A channel's own code on a model of hosts without coherence, as `_channel_model`, for tests."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER
from tiermem.native.pool_model_build import MODELS

SOURCES = ("channel.c", "channel_model.c", "channel_trials.c", "model_sites.c")


def ffi(root: Path) -> cffi.FFI:
    """Describes `_channel_model`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / "channel_model.h"]))
    builder.set_source(
        "_channel_model",
        '#include "channel_model.h"',
        sources=[
            *(str(folder / name) for name in SOURCES),
            str(root / MODELS / "incoherent.c"),
        ],
        include_dirs=[str(folder), str(root / MODELS)],
        extra_compile_args=["-DHOST_MODEL", *COMPILE_ARGS],
    )
    return builder
