"""The kernel's placement calls (mbind, move_pages, …) as `_syscalls`; no libnuma needed."""

from __future__ import annotations

from tiermem.native.extension import NATIVE, Extension, native

EXTENSION = Extension(
    "syscalls",
    native("syscalls.h"),
    native("syscalls.c"),
    folders=(NATIVE, "kmod/uapi"),
)
