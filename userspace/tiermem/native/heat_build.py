"""The heat table of M5's nominator as `_heat`: it goes through thousands of pages a round."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

EXTENSION = Extension(
    "heat",
    native("heat.h"),
    native("heat_table.c", "heat_judge.c", "vacancies.c", "weight_sort.c"),
    link_flags=("-lm",),
)
