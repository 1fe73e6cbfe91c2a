"""What `bench.fork` measures: ways of starting, functions, footprints."""

from __future__ import annotations

from typing import Literal

from bench.guest.fork_spec import COLD, CRIU_CXL, CRIU_DRAM, FORK, GHOST, ForkSpec

Mode = Literal["full", "quick"]

METHODS: dict[str, str] = {
    COLD: "cold start",
    FORK: "local fork",
    CRIU_DRAM: "CRIU, DRAM files",
    CRIU_CXL: "CRIU, CXL files",
    "mow": "MoW",
    f"mow{GHOST}": "MoW, ghost",
    "moa": "MoA",
    f"moa{GHOST}": "MoA, ghost",
    "ht": "HT",
    f"ht{GHOST}": "HT, ghost",
}
"""Ways of starting, with the titles that tables have."""

FOOTPRINTS_MIB = (24, 64, 128, 256)
QUICK_FOOTPRINTS_MIB = (24, 256)
FUNCTION = "arithmetic"
OTHER_FUNCTIONS = ("json_documents", "image_resize", "graph_search", "linear_algebra", "inference")
OTHERS_MIB = 64
"""The footprint at which the other functions are compared."""
WARM_UP = 16
"""Calls before a function is taken into an image, as the porter's default is."""


def plan(mode: Mode) -> list[ForkSpec]:
    """One function at all footprints; in full mode, the others at one of them."""
    if mode == "quick":
        sizes, others, repeats, warm_calls, clones = QUICK_FOOTPRINTS_MIB, (), 2, 2, 4
    else:
        sizes, others, repeats, warm_calls, clones = FOOTPRINTS_MIB, OTHER_FUNCTIONS, 3, 3, 8
    pairs = [(FUNCTION, size) for size in sizes] + [(other, OTHERS_MIB) for other in others]
    return [
        ForkSpec(function, size, repeats, warm_calls, WARM_UP, clones) for function, size in pairs
    ]
