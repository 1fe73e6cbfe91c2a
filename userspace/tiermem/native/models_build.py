"""The hardware models (trackers, memory system) and replay's inner loop as `_models`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import KERNEL_TYPES, declarations

HEADERS = (
    "kmod/uapi/tiermem_hpt_regs.h",
    "fpga_models/trackers/h3.h",
    "fpga_models/trackers/cm_sketch.h",
    "fpga_models/trackers/ranking.h",
    "fpga_models/trackers/topk.h",
    "fpga_models/trackers/exact.h",
    "fpga_models/trackers/config.h",
    "fpga_models/trackers/trackers.h",
    "fpga_models/trackers/trace.h",
    "fpga_models/memsys/parameters.h",
    "fpga_models/memsys/cache.h",
    "fpga_models/memsys/stream.h",
    "fpga_models/memsys/memsys.h",
    "kmod/uapi/tiermem_promote.h",
    "userspace/tiermem/native/replay_machine.h",
    "userspace/tiermem/native/trace_pages.h",
)
MODEL_FOLDERS = ("fpga_models/trackers", "fpga_models/memsys")
REPLAY = "userspace/tiermem/native"
REPLAY_SOURCES = (
    "page_directory.c",
    "replay_machine.c",
    "replay_moves.c",
    "tier_frames.c",
    "trace_pages.c",
)
CONSTANTS = "#define TM_TRACE_MAGIC ...\n"
"""Macros do not survive the preprocessor, so those that Python needs are named here."""


def ffi(root: Path) -> cffi.FFI:
    """Describes `_models`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(KERNEL_TYPES + CONSTANTS + declarations([root / header for header in HEADERS]))
    sources = [source for folder in MODEL_FOLDERS for source in sorted((root / folder).glob("*.c"))]
    sources += [root / REPLAY / name for name in REPLAY_SOURCES]
    builder.set_source(
        "_models",
        "\n".join(f'#include "{Path(header).name}"' for header in HEADERS),
        sources=[str(source) for source in sources],
        include_dirs=[str(root / f) for f in ("kmod/uapi", REPLAY, *MODEL_FOLDERS)],
        extra_compile_args=["-std=gnu99", "-O3", "-march=x86-64-v2", "-flto", "-Wall", "-Wextra"],
    )
    return builder
