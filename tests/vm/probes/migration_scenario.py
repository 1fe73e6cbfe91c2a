"""Runs in the guest: migrations of known number, reason and direction, under the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ground_truth import MPOL_MF_MOVE, MPOL_MF_STRICT, Pages, grown, vmstat
from tiermem.probes import Probe

DRAM, CXL = 0, 1
COUNTERS = ("pgmigrate_success", "pgmigrate_fail")


def observed(probe: Any, act: Callable[[], Any]) -> dict[str, Any]:
    kernel, before = vmstat(COUNTERS), probe.read()
    result = act()
    seen, kernel_after = probe.read().minus(before), vmstat(COUNTERS)
    return {"result": result, "seen": seen.as_dict(), "kernel": grown(kernel, kernel_after)}


def bind_elsewhere() -> None:
    pages = Pages(48)
    pages.bind(DRAM)
    pages.touch()
    pages.bind(CXL, MPOL_MF_MOVE | MPOL_MF_STRICT)


def move_a_huge_page() -> list[int]:
    pages = Pages(512, huge=True)
    pages.bind(DRAM)
    pages.touch()
    return pages.move(CXL, count=1)


def run() -> dict[str, Any]:
    pages = Pages(200)
    pages.bind(DRAM)
    pages.touch()
    with Probe("migration") as probe:
        report = {
            "attached": [f"{hook.kind} {hook.target}" for hook in probe.attached],
            "missing": probe.missing,
            "down": observed(probe, lambda: pages.move(CXL)),
            "up": observed(probe, lambda: pages.move(DRAM, count=70)),
            "mbind": observed(probe, bind_elsewhere),
            "huge": observed(probe, move_a_huge_page),
        }
        with pages.pinned(0, 8):
            report["pinned"] = observed(probe, lambda: pages.move(CXL, count=16))
            report["pinned"]["result"] = pages.nodes(0, 16)
    return report
