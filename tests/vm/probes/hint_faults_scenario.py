"""Runs in the guest: NUMA balancing finds pages on the CXL node that are in use."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ground_truth import Pages, grown, vmstat
from tiermem.probes import Probe

COUNTERS = ("numa_hint_faults", "numa_pages_migrated", "numa_pte_updates")
SWITCH = Path("/proc/sys/kernel/numa_balancing")
SCAN = Path("/sys/kernel/debug/sched/numa_balancing")
ENOUGH, LIMIT_S = 3000, 40


def run() -> dict[str, Any]:
    pages = Pages(4096)
    with Probe("hint-faults") as probe:
        switch, hot = SWITCH.read_text(), (SCAN / "hot_threshold_ms").read_text()
        period = (SCAN / "scan_period_min_ms").read_text()
        pages.touch()
        pages.move(1)
        try:
            (SCAN / "scan_period_min_ms").write_text("100")
            (SCAN / "hot_threshold_ms").write_text("10000")
            kernel, before = vmstat(COUNTERS), probe.read()
            SWITCH.write_text("2")
            started = time.monotonic_ns()
            deadline = time.monotonic() + LIMIT_S
            while time.monotonic() < deadline:
                pages.touch()
                if grown(kernel, vmstat(COUNTERS))["numa_hint_faults"] > ENOUGH:
                    break
        finally:
            SWITCH.write_text(switch)
            (SCAN / "hot_threshold_ms").write_text(hot)
            (SCAN / "scan_period_min_ms").write_text(period)
        pages.touch()  # resolves what is still unmapped
        seen, kernel_after = probe.read().minus(before), vmstat(COUNTERS)
        return {
            "attached": [f"{hook.kind} {hook.target}" for hook in probe.attached],
            "seen": seen.as_dict(),
            "kernel": grown(kernel, kernel_after),
            "elapsed_ns": time.monotonic_ns() - started,
        }
