"""The hardware models (trackers, memory system) and replay's inner loop as `_models`."""

from __future__ import annotations

from tiermem.native.cdef import KERNEL_TYPES
from tiermem.native.extension import NATIVE, Extension, native

TRACKERS, MEMSYS, UAPI = "fpga_models/trackers", "fpga_models/memsys", "kmod/uapi"
HEADERS = (
    f"{UAPI}/tiermem_hpt_regs.h",
    *(
        f"{TRACKERS}/{name}.h"
        for name in ("h3", "cm_sketch", "ranking", "topk", "exact", "config", "trackers", "trace")
    ),
    *(f"{MEMSYS}/{name}.h" for name in ("parameters", "cache", "stream", "memsys")),
    f"{UAPI}/tiermem_promote.h",
    *native("replay_machine.h", "trace_pages.h"),
)
REPLAY = native(
    "page_directory.c",
    "replay_machine.c",
    "replay_moves.c",
    "tier_frames.c",
    "trace_pages.c",
)
CONSTANTS = "#define TM_TRACE_MAGIC ...\n"
"""Macros do not survive the preprocessor, so those that Python needs are named here."""

EXTENSION = Extension(
    "models",
    HEADERS,
    (f"{TRACKERS}/*.c", f"{MEMSYS}/*.c", *REPLAY),
    declared=lambda _root: KERNEL_TYPES + CONSTANTS,
    folders=(UAPI, NATIVE, TRACKERS, MEMSYS),
    flags=("-std=gnu99", "-O3", "-march=x86-64-v2", "-flto", "-Wall", "-Wextra"),
)
