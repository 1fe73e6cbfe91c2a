"""Counters and switches of the guest's kernel, read and written as files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

NUMA_BALANCING = Path("/proc/sys/kernel/numa_balancing")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
RANDOM_ADDRESSES = Path("/proc/sys/kernel/randomize_va_space")
WATERMARK_SCALE = Path("/proc/sys/vm/watermark_scale_factor")
# In 1/10000 of a node. The kernel's own memory cannot go to the CXL node, so the
# small DRAM node needs a margin that user pages leave alone: with 100, programs were
# killed for want of memory in most runs.
WATERMARK_MARGIN = "400"
# The kernel's DAMON statistics: not tiering, and it tunes itself up to a tenth of
# the CPU of a small guest.
DAMON_STAT = Path("/sys/module/damon_stat/parameters/enabled")
_MIGRATE_PAGES = 256  # the system call's number on x86-64
TIERING_THREADS = ("kswapd", "kcompactd", "kdamond", "khugepaged", "migration/")


def write(path: Path, value: str) -> None:
    """Store `value` in a kernel switch; OSError names the file."""
    path.write_text(value)


def vmstat() -> dict[str, int]:
    """All counters of /proc/vmstat."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """What changed, by name; names that did not change are left out."""
    deltas = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: delta for name, delta in deltas.items() if delta}


def thread_cpu_ns() -> dict[str, int]:
    """CPU time of the kernel threads that tier memory, by name."""
    found: dict[str, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            name = Path(entry.path, "comm").read_text().strip()
            if name.startswith(TIERING_THREADS):
                found[name] = found.get(name, 0) + process_cpu_ns(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def process_cpu_ns(pid: int) -> int:
    """CPU time of a process' threads, from the scheduler's own account."""
    total = 0
    for thread in os.scandir(f"/proc/{pid}/task"):
        total += int(Path(thread.path, "schedstat").read_text().split()[0])
    return total


def system_cpu_ns() -> int:
    """Time the CPUs spent in the kernel (system, irq, softirq), in ticks' resolution."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    ticks = int(fields[3]) + int(fields[6]) + int(fields[7])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def pages_by_node(pids: Iterable[int]) -> dict[str, int]:
    """Pages that the processes map, by node number (as text), from numa_maps."""
    pages: dict[str, int] = {}
    for pid in pids:
        for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
            for word in line.split():
                if word[0] == "N" and "=" in word:
                    node, _, count = word[1:].partition("=")
                    pages[node] = pages.get(node, 0) + int(count)
    return pages


def free_pages() -> dict[str, int]:
    """Free pages by node."""
    free: dict[str, int] = {}
    for node in Path("/sys/devices/system/node").glob("node[0-9]*"):
        for line in (node / "meminfo").read_text().splitlines():
            if "MemFree" in line:
                free[node.name[4:]] = int(line.split()[3]) // 4
    return free


def kept_free_percent(node: int) -> float:
    """Share of a node that allocations leave alone: what is below its zones' low watermarks."""
    low = managed = 0
    mine = False
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[0] == "Node":
            mine = words[1] == f"{node},"
        elif mine and words[0] == "low":
            low += int(words[1])
        elif mine and words[0] == "managed":
            managed += int(words[1])
    return 100.0 * low / managed


def clear_fast_node() -> None:
    """Move all other programs' memory to the slow node.

    Demotion in earlier runs has done so with some of it; without this, a run would
    find the more fast memory the later it comes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fast, slow = ctypes.c_ulong(1), ctypes.c_ulong(2)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            # A process may be gone, or a kernel thread without memory: no matter.
            libc.syscall(
                _MIGRATE_PAGES,
                int(entry.name),
                ctypes.sizeof(fast) * 8,
                ctypes.byref(fast),
                ctypes.byref(slow),
            )


def quiet() -> None:
    """No tiering at all, base pages only, no page cache: where every run starts.

    Nor random addresses: where stack and heap happen to meet in the first-level
    cache made up to 3 % of a run's time, as much as what is to be measured.
    """
    write(RANDOM_ADDRESSES, "0")
    write(NUMA_BALANCING, "0")
    write(DEMOTION, "0")
    write(HUGE_PAGES, "never")
    write(WATERMARK_SCALE, WATERMARK_MARGIN)
    if DAMON_STAT.exists():
        write(DAMON_STAT, "N")
    os.sync()
    write(DROP_CACHES, "3")
    clear_fast_node()
