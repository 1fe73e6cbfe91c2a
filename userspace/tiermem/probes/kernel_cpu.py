"""CPU time that the kernel spends on tiering: who spent it, and doing what.

A matrix. Rows: kdamond, kswapd, kcompactd, khugepaged, ordinary processes, and
`apart`, the processes that the reader accounts for by himself (a daemon whose
whole CPU time is already in another column). Columns: migration (the time in
migrate_pages(), in whatever context), hint faults, the NUMA balancing scan,
direct reclaim, and, for the kernel threads, everything else they do.

Nothing is counted twice: each nanosecond is in the cell of the innermost
activity, so migration inside a hint fault is migration, and kdamond's migration
is in its row. Time off the CPU is in no cell. Where the kernel's compiler has
inlined do_numa_page(), a hint fault's time runs from numa_migrate_check() to
task_numa_fault(), which leaves out a few hundred instructions of it, rather
than burden every page fault with a hook. Interrupts that arrive meanwhile
are charged to whom they interrupt, as the kernel's own accounting does by
default.

How much a kernel thread has used altogether is the scheduler's own account
(/proc/PID/schedstat); the program only splits it, and `other` is what it saw no
activity for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiermem.probes.constants import FieldOffset
from tiermem.probes.hooks import Part, around, entry, event
from tiermem.probes.loader import Program
from tiermem.probes.question import Question, counted_since
from tiermem.probes.table import Table, milliseconds
from tiermem.probes.tracepoints import Tracepoint

# enum who and enum activity in ebpf/kernel-cpu.bpf.c
WHO = ("process", "apart", "kdamond", "kswapd", "kcompactd", "khugepaged")
ACTIVITIES = ("other", "migration", "hint fault", "numa scan", "reclaim")
THREADS = WHO[2:]

PF_KTHREAD = 0x00200000  # include/linux/sched.h; field 9 of /proc/PID/stat

_CELL = np.dtype([("ns", "<u8"), ("times", "<u8")])
_PID = np.dtype("<u4")
_THREAD = np.dtype([("before_ns", "<u8"), ("who", "<u4"), ("reserved", "<u4")])
_USED = np.dtype([("ns", "<u8")])


@dataclass(frozen=True)
class CpuTime:
    """One cell of the matrix; `times` counts how often the activity began."""

    who: str
    activity: str
    ns: int
    times: int


@dataclass(frozen=True)
class KernelCpuSnapshot:
    cells: tuple[CpuTime, ...]

    def ns(self, who: str | None = None, activity: str | None = None) -> int:
        """CPU time of one row, one column, one cell, or (both None) of the whole matrix."""
        for name, allowed in ((who, WHO), (activity, ACTIVITIES)):
            if name is not None and name not in allowed:
                raise ValueError(f"{name!r}: allowed is one of {', '.join(allowed)}")
        return sum(
            cell.ns
            for cell in self.cells
            if who in (None, cell.who) and activity in (None, cell.activity)
        )

    @property
    def total_ns(self) -> int:
        """The kernel's cost of tiering: everything but the row `apart`."""
        return self.ns() - self.ns("apart")

    def minus(self, earlier: KernelCpuSnapshot) -> KernelCpuSnapshot:
        return KernelCpuSnapshot(counted_since(self.cells, earlier.cells, ("ns", "times")))

    def as_dict(self) -> dict[str, Any]:
        return {
            "total_ns": self.total_ns,
            "migration_ns": self.ns(activity="migration"),
            "cells": [asdict(cell) for cell in self.cells],
        }

    def tables(self) -> list[Table]:
        rows = []
        for who in WHO:
            cells = [self.ns(who, activity) for activity in ACTIVITIES]
            if any(cells):
                rows.append((who, *(milliseconds(ns) for ns in cells), milliseconds(sum(cells))))
        totals = [self.ns(activity=a) - self.ns("apart", a) for a in ACTIVITIES]
        rows.append(("all but apart", *map(milliseconds, totals), milliseconds(self.total_ns)))
        return [
            Table("Kernel CPU time for tiering, ms", ("who", *ACTIVITIES, "sum"), tuple(rows)),
        ]


def kernel_threads(proc: Path = Path("/proc")) -> Iterator[tuple[int, str]]:
    """(pid, kind) of the kernel threads that have a row; a process of the same name is none."""
    for stat in proc.glob("[0-9]*/stat"):
        try:
            content = stat.read_text()
        except OSError:
            continue  # it has ended
        name = content[content.index("(") + 1 : content.rindex(")")]
        flags = int(content[content.rindex(")") + 2 :].split()[6])
        kind = next((thread for thread in THREADS if name.startswith(thread)), None)
        if kind and flags & PF_KTHREAD:
            yield int(stat.parent.name), kind


def thread_cpu_ns(pid: int) -> int | None:
    """What the scheduler has charged a thread; None where it has ended, or the kernel
    keeps no such account (CONFIG_SCHED_INFO)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return None


def set_apart(program: Program, pids: Iterable[int]) -> None:
    """Charge what these processes (all their threads) do from now on to the row `apart`."""
    for pid in pids:
        program.put("apart", pid)


def _open(
    program: Program, _tracepoints: Mapping[str, Tracepoint]
) -> Callable[[], KernelCpuSnapshot]:
    # The program sees for itself which threads start later.
    for pid, kind in kernel_threads():
        who, before_ns = WHO.index(kind), thread_cpu_ns(pid) or 0
        program.put("threads", pid, overwrite=False, who=who, before_ns=before_ns)
        program.put("accounts", pid, overwrite=False, who=who)
    has_totals = thread_cpu_ns(os.getpid()) is not None
    least = dict.fromkeys(THREADS, 0)

    def read() -> KernelCpuSnapshot:
        leaves = program.array("cells", _CELL).reshape(len(WHO), len(ACTIVITIES))
        for kind, total_ns in _thread_totals(program).items() if has_totals else ():
            row = leaves[WHO.index(kind)]["ns"]
            # A total may be a tick older than the cells; what was read once stays.
            least[kind] = max(least[kind], total_ns - int(row[1:].sum()))
            row[0] = least[kind]
        return KernelCpuSnapshot(
            tuple(
                CpuTime(who, activity, int(leaves[i, j]["ns"]), int(leaves[i, j]["times"]))
                for i, who in enumerate(WHO)
                for j, activity in enumerate(ACTIVITIES)
                if leaves[i, j]["ns"] or leaves[i, j]["times"]
            )
        )

    return read


def _thread_totals(program: Program) -> dict[str, int]:
    """CPU time since the probe came of the threads of each kind, by the scheduler.

    Those that have ended first: a thread that ends meanwhile is missed this once
    rather than counted twice.
    """
    ended = program.array("ended", _USED)["ns"]
    totals = {kind: int(ended[WHO.index(kind)]) for kind in THREADS}
    # By pid, since the walk starts again where an entry vanishes under it.
    living = {int(pid): thread for pid, thread in program.entries("threads", _PID, _THREAD)}
    for pid, thread in living.items():
        ns = thread_cpu_ns(pid)
        if ns is not None:
            totals[WHO[thread["who"]]] += ns - int(thread["before_ns"])
    return totals


def _span(sees: str, start: str, end: str, handler: str, *, needed: bool) -> Part:
    """An activity that a pair of tracepoints delimits."""
    hooks = (event(start, f"{handler}_start"), event(end, f"{handler}_end"))
    return Part(sees, (hooks,), needed)


QUESTION = Question(
    name="kernel-cpu",
    asks="How much CPU time does the kernel spend on tiering, who spends it, on what?",
    parts=(
        Part("time on the CPU", ((event("sched:sched_switch", "on_switch"),),)),
        Part("new kernel threads", ((event("task:task_newtask", "on_new_task"),),)),
        Part("threads that end", ((event("sched:sched_process_exit", "on_exit"),),)),
        _span(
            "migration",
            "migrate:mm_migrate_pages_start",
            "migrate:mm_migrate_pages",
            "on_migrate",
            needed=True,
        ),
        _span(
            "direct reclaim",
            "vmscan:mm_vmscan_direct_reclaim_begin",
            "vmscan:mm_vmscan_direct_reclaim_end",
            "on_reclaim",
            needed=True,
        ),
        _span(
            "reclaim in a cgroup",
            "vmscan:mm_vmscan_memcg_reclaim_begin",
            "vmscan:mm_vmscan_memcg_reclaim_end",
            "on_reclaim",
            needed=False,
        ),
        Part(
            "hint faults",
            (
                (
                    *around("do_numa_page", "on_hint_fault", "on_hint_fault_end"),
                    *around("do_huge_pmd_numa_page", "on_hint_fault", "on_hint_fault_end"),
                ),
                # Both call these two, soon after they begin and last of all.
                (
                    entry("numa_migrate_check", "on_hint_fault"),
                    entry("task_numa_fault", "on_hint_fault_end"),
                ),
            ),
        ),
        Part(
            "the NUMA balancing scan",
            (around("task_numa_work", "on_numa_scan", "on_numa_scan_end"),),
            needed=False,
        ),
    ),
    constants={
        "TASK_PID_OFFSET": FieldOffset("task_struct", "pid"),
        "TASK_FLAGS_OFFSET": FieldOffset("task_struct", "flags"),
        "TASK_COMM_OFFSET": FieldOffset("task_struct", "comm"),
        "TASK_ENTITY_OFFSET": FieldOffset("task_struct", "se"),
        "ENTITY_RUNTIME_OFFSET": FieldOffset("sched_entity", "sum_exec_runtime"),
    },
    open_reader=_open,
)
