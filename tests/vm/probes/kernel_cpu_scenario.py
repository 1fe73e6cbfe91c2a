"""Runs in the guest: DAMON and migrations by a process, under the probe."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ground_truth import Pages, cpu_ns
from tiermem.probes import Probe
from tiermem.probes.kernel_cpu import KernelCpuSnapshot, kernel_threads

DAMON = Path("/sys/kernel/mm/damon/admin/kdamonds")
# Runs from boot on recent kernels, and no second user of DAMON may run beside it.
DAMON_STAT = Path("/sys/module/damon_stat/parameters/enabled")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")
ROUNDS = 10


def kdamond_scenario(probe: Probe[KernelCpuSnapshot]) -> dict[str, Any]:
    """DAMON watches this process, whose pages are in use, for two seconds."""
    pages = Pages(2048)
    pages.touch()
    had_statistics = DAMON_STAT.exists() and DAMON_STAT.read_text().strip() == "Y"
    if had_statistics:
        DAMON_STAT.write_text("N")
    (DAMON / "nr_kdamonds").write_text("1")
    kdamond = DAMON / "0"
    (kdamond / "contexts/nr_contexts").write_text("1")
    context = kdamond / "contexts/0"
    (context / "operations").write_text("vaddr")
    (context / "targets/nr_targets").write_text("1")
    (context / "targets/0/pid_target").write_text(str(os.getpid()))
    (context / "monitoring_attrs/intervals/sample_us").write_text("1000")
    (context / "monitoring_attrs/intervals/aggr_us").write_text("20000")
    (context / "monitoring_attrs/intervals/update_us").write_text("200000")
    before = probe.read()
    (kdamond / "state").write_text("on")
    try:
        pid = int((kdamond / "pid").read_text())
        until = time.monotonic() + 2
        while time.monotonic() < until:
            pages.touch()
        # it runs on while the probe is read: the truth lies between two readings
        at_least = cpu_ns(pid)
        seen, at_most = probe.read().minus(before), cpu_ns(pid)
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        named = kernel_threads()
        report = {
            "seen": seen.as_dict(),
            "scheduler_ns": [at_least, at_most],
            "stat_ns": (int(ticks[11]) + int(ticks[12])) * 10**9 // os.sysconf("SC_CLK_TCK"),
            "listed": (pid, "kdamond") in list(named),
        }
        # Nobody reads what it uses from here to its end.
        time.sleep(0.5)
        at_end, end_ns = cpu_ns(pid), time.monotonic_ns()
    finally:
        (kdamond / "state").write_text("off")
        (DAMON / "nr_kdamonds").write_text("0")
    # No thread uses more than goes by.
    more_ns = time.monotonic_ns() - end_ns
    ended = probe.read().minus(before).as_dict()
    if had_statistics:
        DAMON_STAT.write_text("Y")
    return report | {"ended": {"seen": ended, "scheduler_ns": [at_end, at_end + more_ns]}}


def khugepaged_scenario(probe: Probe[KernelCpuSnapshot]) -> dict[str, Any]:
    """khugepaged makes huge pages of this process' base pages, without a pause."""
    pause = HUGE_PAGES / "khugepaged/scan_sleep_millisecs"
    modes = (HUGE_PAGES / "enabled").read_text()
    usual = {
        HUGE_PAGES / "enabled": modes[modes.index("[") + 1 : modes.index("]")],
        pause: pause.read_text(),
    }
    pages = Pages(2048)
    pages.touch()
    try:
        (HUGE_PAGES / "enabled").write_text("madvise")
        pid = next(pid for pid, kind in kernel_threads() if kind == "khugepaged")
        earlier, before, later = cpu_ns(pid), probe.read(), cpu_ns(pid)
        pages.allow_huge()
        pause.write_text("0")
        time.sleep(2)
        at_least = cpu_ns(pid)
        seen, at_most = probe.read().minus(before), cpu_ns(pid)
    finally:
        for path, value in usual.items():
            path.write_text(value)
    return {"seen": seen.as_dict(), "scheduler_ns": [at_least - later, at_most - earlier]}


def process_scenario(probe: Probe[KernelCpuSnapshot]) -> dict[str, Any]:
    """This process moves pages there and back."""
    pages = Pages(512)
    pages.touch()
    before = probe.read()
    own = cpu_ns(os.getpid())
    for node in (1, 0) * ROUNDS:
        assert pages.move(node) == [node] * pages.count
    own = cpu_ns(os.getpid()) - own
    return {"seen": probe.read().minus(before).as_dict(), "own_ns": own, "calls": 2 * ROUNDS}


def run() -> dict[str, Any]:
    with Probe("kernel-cpu") as probe:
        report: dict[str, Any] = {
            "attached": [f"{hook.kind} {hook.target}" for hook in probe.attached],
            "missing": probe.missing,
            "threads": sorted(kind for _, kind in kernel_threads()),
            "kdamond": kdamond_scenario(probe),
            "process": process_scenario(probe),
            "khugepaged": khugepaged_scenario(probe),
        }
        probe.set_apart([os.getpid()])
        report["apart"] = process_scenario(probe)
    return report
