"""A channel's own code on a model of hosts without coherence, as `_channel_model`, for tests."""

from __future__ import annotations

from tiermem.native.extension import FLAGS, NATIVE, Extension, native
from tiermem.native.pool_model_build import MODELS

EXTENSION = Extension(
    "channel_model",
    native("channel_model.h"),
    (
        *native("channel.c", "channel_model.c", "channel_trials.c", "model_sites.c"),
        f"{MODELS}/incoherent.c",
    ),
    folders=(NATIVE, MODELS),
    flags=("-DHOST_MODEL", *FLAGS),
)
