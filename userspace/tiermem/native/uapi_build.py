"""The kernel modules' interface and the device's register page as `_uapi`.

Structures, enums and constants come from kmod/uapi/*.h; the compiler, not this
file, computes sizes and ioctl numbers. Nothing here is C that runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from tiermem.native.cdef import KERNEL_TYPES
from tiermem.native.extension import Extension

UAPI = "kmod/uapi"
HEADERS = tuple(
    f"{UAPI}/{name}"
    for name in ("tiermem_hpt_regs.h", "tiermem_hpt.h", "tiermem_promote.h", "tiermem_image.h")
)
_MACRO = re.compile(r"^#define\s+(TIERMEM_\w+)[ \t]+\S", re.MULTILINE)


def macros(headers: list[Path]) -> str:
    """cdef lines that ask the compiler for each macro's value.

    The preprocessor expands macros away, so their names are read from the text.
    Include guards define nothing and are left out.
    """
    names = [name for header in headers for name in _MACRO.findall(header.read_text())]
    return "".join(f"#define {name} ...\n" for name in names)


EXTENSION = Extension(
    "uapi",
    HEADERS,
    declared=lambda root: KERNEL_TYPES + macros([root / header for header in HEADERS]),
    folders=(UAPI,),
    flags=("-std=gnu99", "-Wall", "-Wextra"),
)
