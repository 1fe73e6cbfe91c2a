"""What `bench.porter` asks for: the functions, the load, and the porters that get it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.arrivals import burst, load_trace, scaled
from bench.guest.porter_spec import AMPLE, COLD_WITH_A_QUARTER, QUARTER, CalledFunction, PorterSpec

Mode = Literal["full", "quick"]
CRIU_FOLDER = "/run/files-in-cxl/porter"
STARTS = {
    "criu": "CRIU, files in CXL memory",
    "restore": "CXLfork",
    "cold": "cold start",
}
"""Values of the porter's `start`, and what tables call them."""

# Events that make a call a few milliseconds of one processor, as calls of short functions
# are: a load that the emulation can do many of.
FUNCTIONS = {
    "algebra": CalledFunction("linear_algebra.py", "{}"),
    "json": CalledFunction("json_documents.py", "{}"),
    "images": CalledFunction("image_resize.py", '{"height": 68, "width": 120}'),
    "search": CalledFunction("graph_search.py", '{"depth": 2}'),
    "inference": CalledFunction("inference.py", "{}"),
    "arithmetic": CalledFunction("arithmetic.py", '{"n": 5000}'),
}
QUICK_FUNCTIONS = ("algebra", "json", "images")
CASES = [(start, memory) for memory in (AMPLE, QUARTER) for start in STARTS]
QUICK_CASES = [one for one in CASES if one != COLD_WITH_A_QUARTER]
# A cold start takes ten seconds and more to emulate.
COLD_CALLS = 40
FLOOD_EACH = {"quick": 10, "full": 20}
INSTANCES_MAX = 4
CALLS_PER_S = 10.0
CALLS = {"quick": 60, "full": 400}
BURST_EACH = 3
"""Calls of each function that come at once, three quarters of the way."""


def plan(mode: Mode, trace: Path | None = None) -> PorterSpec:
    """The spec. trace: a file as bench.arrivals reads it; None: a synthetic one."""
    names = list(QUICK_FUNCTIONS if mode == "quick" else FUNCTIONS)
    arrivals = scaled(load_trace(trace), names, CALLS[mode], CALLS_PER_S)
    at_s = arrivals[-1].at_s * 0.75
    arrivals = sorted([*arrivals, *burst(names, at_s, BURST_EACH)])
    return PorterSpec(
        functions={name: FUNCTIONS[name] for name in names},
        arrivals=[(one.at_s, one.function) for one in arrivals],
        cases=QUICK_CASES if mode == "quick" else CASES,
        cold_calls=COLD_CALLS,
        flood_each=FLOOD_EACH[mode],
        instances_max=INSTANCES_MAX,
        criu_folder=CRIU_FOLDER,
    )
