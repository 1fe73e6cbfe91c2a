"""The ends of a channel, and waiting at one, as `_channel`, for control planes and tests."""

from __future__ import annotations

from tiermem.native.allocator_build import HOST_MEMORY
from tiermem.native.extension import Extension, native

EXTENSION = Extension(
    "channel",
    native("channel_layout.h", "channel.h", "channel_wait.h"),
    native("channel.c", "channel_wait.c", "line_instructions.c"),
    code_headers=native("host_memory.h"),
    declared=lambda _root: HOST_MEMORY,
)
