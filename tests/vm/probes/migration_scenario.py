"""Runs in the guest: migrations of known number, reason and direction, under the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ground_truth import MPOL_MF_MOVE, MPOL_MF_STRICT, Pages, grown, module, vmstat
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


def promote_by_the_module(pages: Pages) -> int:
    from tiermem.layer.promote_device import PromoteDevice

    with PromoteDevice() as device:
        frames = np.array(pages.frames(), dtype=np.uint64)
        return int(device.promote(frames, target_node=DRAM).moved_pages)


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
        promoted = Pages(60)
        promoted.bind(CXL)
        promoted.touch()
        with module("tiermem_promote"):
            report["promoter"] = observed(probe, lambda: promote_by_the_module(promoted))
        report["promoter, unloaded"] = {"seen": probe.read().as_dict()}
        with pages.pinned(0, 8):
            report["pinned"] = observed(probe, lambda: pages.move(CXL, count=16))
            report["pinned"]["result"] = pages.nodes(0, 16)
    return report
