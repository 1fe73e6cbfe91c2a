"""The pool's own code on a model of hosts without coherence, as `_pool_model`, for tests."""

from __future__ import annotations

from tiermem.native.extension import FLAGS, NATIVE, Extension, native
from tiermem.native.pool_build import COPIES, PROTOCOL

MODELS = "fpga_models/hosts"

EXTENSION = Extension(
    "pool_model",
    (
        *native("pool_layout.h", "pool.h", "pool_model.h", "pool_copy.h"),
        f"{MODELS}/incoherent.h",
    ),
    (
        *PROTOCOL,
        *COPIES,
        *native("pool_model.c", "pool_model_calls.c"),
        f"{MODELS}/incoherent.c",
    ),
    folders=(NATIVE, MODELS),
    flags=("-DPOOL_MODEL", *FLAGS),
)
