"""All of a stopped process but the contents of its pages, in the order in which it must be
looked at: what needs calls made in its name comes after what they could change."""

from __future__ import annotations

import os
import time

from tiermem.cxlfork.capture.areas import Area, find_gap, read_areas
from tiermem.cxlfork.capture.descriptors import read_descriptors
from tiermem.cxlfork.capture.facts import (
    is_in_our_namespace,
    read_children,
    read_link,
    read_status,
)
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.capture.pages import find_stored_pages
from tiermem.cxlfork.capture.process import credentials_differ, cwd_is_there, read_process
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.threads import read_thread
from tiermem.cxlfork.capture.timers import read_timers
from tiermem.cxlfork.capture.tracing import CS, StoppedProcess
from tiermem.cxlfork.checksum import crc32c
from tiermem.cxlfork.image_writer import Snapshot
from tiermem.cxlfork.records import HostFacts, Thread, VmaKind
from tiermem.layer.image_device import ImageDevice
from tiermem.layer.pages.mappings import read_process_file
from tiermem.layer.processor import processor_flags

GAP_BYTES = 2 << 20

_XCR0_AT = 464
_SEGMENT_OF_32_BITS = 0x23
_NAMESPACES = ("user", "net", "ipc", "uts")
"""These must be ours; others are made anew for a restored process, or do not matter."""


def refuse_before_stopping(pid: int, refusals: Refusals) -> None:
    """What can be seen without touching it."""
    status = read_status(pid)
    if pid == os.getpid():
        refusals.add("it is the one that was asked to do so")
    if status.number("Kthread"):
        refusals.add("it is a thread of the kernel")
        return
    if status.fields["State"].startswith("Z"):
        refusals.add("it has ended, and its parent has not waited for it")
        return
    if tracer := status.number("TracerPid"):
        refusals.add(f"process {tracer} traces it (a debugger or strace); end that first")
    if status.number("Seccomp"):
        refusals.add("it restricts its system calls by seccomp")
    # One that waits for a child of vfork could not be stopped.
    _refuse_children(pid, refusals)
    for kind in _NAMESPACES:
        if not is_in_our_namespace(pid, kind):
            refusals.add(f"it lives in another {kind} namespace")
    if read_link(pid, "root") != "/":
        refusals.add(f"its root folder is {read_link(pid, 'root')} (chroot)")


def take_snapshot(
    stopped: StoppedProcess, memory: Memory, options: Options, device: ImageDevice | None
) -> Snapshot:
    """RefusedError with all that cannot be taken."""
    pid = stopped.pid
    refusals = Refusals(pid)
    _refuse_stopped(stopped, refusals)
    areas = read_areas(pid, refusals)
    shared = {area.object for area in areas if area.vma.kind is VmaKind.SHARED and area.object}
    descriptors = read_descriptors(pid, options, refusals, shared)
    refusals.check()
    stored = find_stored_pages(memory, areas, device, refusals)
    refusals.check()
    clocks = _clocks(pid)
    with Scratch(stopped, memory, areas) as scratch:
        with scratch.calls(pid) as calls:
            timers = read_timers(stopped, calls, scratch)
            process = read_process(stopped, calls, scratch, timers)
        threads = [read_thread(stopped, tid, scratch, timers) for tid in _leader_first(stopped)]
    return Snapshot(
        host=_host_facts(memory, areas, threads, clocks),
        process=process,
        threads=threads,
        vmas=[area.vma for area in areas],
        descriptors=descriptors,
        timers=timers.posix,
        gap_at=find_gap(areas, GAP_BYTES),
        stretches=stored.stretches,
        accessed=stored.accessed,
        dirty=stored.dirty,
    )


def _refuse_stopped(stopped: StoppedProcess, refusals: Refusals) -> None:
    pid = stopped.pid
    _refuse_children(pid, refusals)
    if stopped.registers(pid)[CS] == _SEGMENT_OF_32_BITS:
        refusals.add("it is a 32-bit process")
    for tid in credentials_differ(pid, stopped.tids):
        refusals.add(f"thread {tid} has other credentials than the first one")
    if not cwd_is_there(pid):
        refusals.add(f"its working folder {read_link(pid, 'cwd')} is not at its name")


def _refuse_children(pid: int, refusals: Refusals) -> None:
    for child in read_children(pid):
        refusals.add(f"it has a child, process {child}; only single processes can be taken")


def _leader_first(stopped: StoppedProcess) -> list[int]:
    return sorted(stopped.tids, key=lambda tid: (tid != stopped.pid, tid))


def _clocks(pid: int) -> tuple[int, int]:
    """CLOCK_MONOTONIC and CLOCK_BOOTTIME as the process sees them."""
    monotonic, boottime = (0, 0) if is_in_our_namespace(pid, "time") else _clock_offsets(pid)
    return (
        time.clock_gettime_ns(time.CLOCK_MONOTONIC) + monotonic,
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) + boottime,
    )


def _clock_offsets(pid: int) -> tuple[int, int]:
    """What its time namespace adds to our clocks: lines of name, seconds, nanoseconds."""
    sums = {"monotonic": 0, "boottime": 0}
    for process, sign in ((pid, 1), (os.getpid(), -1)):
        for line in read_process_file(process, "timens_offsets").splitlines():
            name, seconds, nanoseconds = line.split()
            sums[name] += sign * (int(seconds) * 1_000_000_000 + int(nanoseconds))
    return sums["monotonic"], sums["boottime"]


def _host_facts(
    memory: Memory, areas: list[Area], threads: list[Thread], clocks: tuple[int, int]
) -> HostFacts:
    vdso = [area.vma for area in areas if area.vma.kind is VmaKind.VDSO]
    checksum = 0
    for vma in vdso:
        checksum = crc32c(memory.read(vma.start, vma.end - vma.start), checksum)
    return HostFacts(
        created_ns=time.time_ns(),
        monotonic_ns=clocks[0],
        boottime_ns=clocks[1],
        kernel=os.uname().release,
        cpu_flags=" ".join(processor_flags()),
        vdso_checksum=checksum,
        xfeatures=int.from_bytes(threads[0].xstate[_XCR0_AT : _XCR0_AT + 8], "little"),
    )
