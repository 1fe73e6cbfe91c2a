"""C declarations for cffi, taken from the headers themselves.

Shared layouts are written once, in C headers. A header leaves its includes out
when TIERMEM_CDEF is defined, so what the preprocessor makes of it is what
`FFI.cdef` reads. Used by every `*_build.py` of this folder.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tiermem.errors import MissingError, TiermemError

KERNEL_TYPES = """
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
"""
"""What <linux/types.h> defines, for headers that are shared with the kernel."""


def declarations(headers: list[Path]) -> str:
    """The headers' declarations, in this order, for `FFI.cdef(..., packed=False)`.

    Raises MissingError without a C compiler, TiermemError for a header that does
    not preprocess.
    """
    return "\n".join(_preprocess(header) for header in headers)


def _preprocess(header: Path) -> str:
    command = ["cc", "-E", "-P", "-DTIERMEM_CDEF", str(header)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingError("no C compiler: install gcc (the command `cc` is needed)") from None
    if done.returncode != 0:
        raise TiermemError(f"{header}: does not preprocess: {done.stderr.strip()}")
    return done.stdout
