"""Attention of prefills over blocks of keys and values, as `_prefill_attention`."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

EXTENSION = Extension(
    "prefill_attention",
    native("attention_blocks.h", "prefill_attention.h"),
    native("attention_blocks.c", "attention_avx512.c", "attention_amx.c", "prefill_attention.c"),
    # Loops over registers have to be unrolled.
    flags=("-std=gnu99", "-O3", "-Wall", "-Wextra"),
)
