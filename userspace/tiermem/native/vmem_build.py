"""Reserved address ranges that get memory piece by piece, as `_vmem`."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

EXTENSION = Extension("vmem", native("vmem.h"), native("vmem.c"))
