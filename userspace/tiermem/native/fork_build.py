"""The image of a checkpointed process, and what takes and restores one, as `_fork`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

HEADERS = ("fork_image.h",)
SOURCES: tuple[str, ...] = ()


def ffi(root: Path) -> cffi.FFI:
    """Describes `_fork`; `root` is the checkout."""
    native = root / "userspace/tiermem/native"
    builder = cffi.FFI()
    headers = [native / name for name in HEADERS]
    builder.cdef(declarations(headers) + "\n#define IMAGE_MAGIC ...\n")
    builder.set_source(
        "_fork",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(native / name) for name in SOURCES],
        include_dirs=[str(native)],
        extra_compile_args=["-std=gnu99", "-Wall", "-Wextra"],
    )
    return builder
