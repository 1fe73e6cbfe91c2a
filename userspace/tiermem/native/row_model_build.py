"""A row's own code on a model of hosts without coherence, as `_row_model`, for tests."""

from __future__ import annotations

from tiermem.native.extension import FLAGS, NATIVE, Extension, native
from tiermem.native.pool_build import COPIES
from tiermem.native.pool_model_build import MODELS

EXTENSION = Extension(
    "row_model",
    native("row_model.h"),
    (*native("row.c", "row_model.c", "model_sites.c"), *COPIES, f"{MODELS}/incoherent.c"),
    folders=(NATIVE, MODELS),
    flags=("-DHOST_MODEL", *FLAGS),
)
