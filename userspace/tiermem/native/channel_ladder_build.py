"""A channel measured between two processors, as `_channel_ladder`, for bench/channel.py."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

EXTENSION = Extension(
    "channel_ladder",
    native("channel_layout.h", "channel.h", "channel_ladder.h"),
    native("channel.c", "channel_ladder.c", "line_instructions.c"),
)
