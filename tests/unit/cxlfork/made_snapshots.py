"""A process that never was, with something in every part of an image."""

from __future__ import annotations

import stat

import numpy as np
from tiermem.cxlfork.image_writer import Front, Snapshot, build_front
from tiermem.cxlfork.records import (
    Action,
    Descriptor,
    FdKind,
    File,
    HostFacts,
    PosixTimer,
    Process,
    Setting,
    Thread,
    Vma,
    VmaFlag,
    VmaKind,
)
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.native._fork import ffi

LIBRARY = File("/lib/libc.so.6", stat.S_IFREG | 0o755, 1234, 5678, 0, is_fixed=True)
LOG = File("/var/log/a\udcffb", stat.S_IFREG | 0o600, 10, 20, 0, is_fixed=False)
MEMFD = File("scratch", stat.S_IFREG | 0o777, 4, 0, 0, is_fixed=False)


def thread(tid: int) -> Thread:
    return Thread(
        tid=tid,
        comm=b"worker",
        registers=tuple(range(27)),
        xstate=bytes([tid % 256]) * 704,
        pending=(bytes([tid]) * 128,),
        signal_mask=1 << 63,
        clear_child_tid=16,
        robust_list=32,
        robust_bytes=24,
        rseq=64,
        rseq_bytes=32,
        rseq_signature=0x53053053,
        stack_pointer=1 << 40,
        stack_bytes=8192,
        stack_flags=0,
        nice=-5,
        policy=0,
        priority=0,
    )


def process(pid: int) -> Process:
    return Process(
        pid=pid,
        is_group_leader=True,
        is_session_leader=False,
        umask=0o22,
        personality=0,
        dumpable=1,
        no_new_privs=True,
        is_subreaper=False,
        thp_disabled=True,
        oom_score_adj=-17,
        timer_slack_ns=50_000,
        uids=(1, 2, 3, 4),
        gids=(5, 6, 7, 8),
        capabilities=(1, 2, 4, 8, 16),
        securebits=3,
        mm=tuple(range(100, 111)),
        executable=LIBRARY,
        cwd="/tmp",
        itimers=(Setting(1, 2), Setting(0, 0), Setting(3, 4)),
        limits=tuple((i, (1 << 64) - 1) for i in range(16)),
        actions=tuple(Action(i, 2, 3, 4) for i in range(64)),
        groups=(10, 20, 30),
        auxv=bytes(range(64)),
        pending=(b"a" * 128, b"b" * 128),
    )


def vmas() -> list[Vma]:
    none, window = VmaFlag(0), 512 * PAGE_BYTES
    stack = 0x7FFF00000000
    return [
        Vma(16 * PAGE_BYTES, 32 * PAGE_BYTES, 5, VmaKind.FILE, none, LIBRARY, PAGE_BYTES),
        Vma(window, 4 * window, 3, VmaKind.ANONYMOUS, VmaFlag.LOCKED | VmaFlag.NOT_DUMPED),
        Vma(stack, stack + 16 * PAGE_BYTES, 3, VmaKind.STACK, none),
        Vma(stack + 32 * PAGE_BYTES, stack + 34 * PAGE_BYTES, 5, VmaKind.VDSO, none),
    ]


def descriptors() -> list[Descriptor]:
    watched = ffi.new("struct image_epoll_item *", {"fd": 5, "events": 1, "data": 9})
    timer = ffi.new("struct image_timerfd *", {"clock": 1, "value_ns": 5})
    listener = ffi.new("struct image_listener *", {"family": 2, "address_bytes": 16})
    return [
        Descriptor(0, FdKind.INHERITED, 2, 0),
        Descriptor(1, FdKind.PATH, 0o100001, 1, file=LOG, position=77),
        Descriptor(2, FdKind.PATH, 0o100001, 0, same_as=1, file=LOG, position=77),
        Descriptor(5, FdKind.EVENT, 2, 0, object=1, value=3),
        Descriptor(6, FdKind.PIPE, 0, 0, object=99, value=65536, extra=b"held"),
        Descriptor(7, FdKind.PIPE, 1, 0, object=99, value=65536),
        Descriptor(8, FdKind.TIMER, 2, 0, extra=bytes(ffi.buffer(timer))),
        Descriptor(9, FdKind.LISTENING, 2, 0, extra=bytes(ffi.buffer(listener)) + bytes(16)),
        Descriptor(10, FdKind.MEMORY, 2, 0, file=MEMFD, value=1, extra=b"1234"),
        Descriptor(4, FdKind.EPOLL, 2, 1, extra=bytes(ffi.buffer(watched))),
    ]


def snapshot() -> Snapshot:
    """With pages in three of its mappings."""
    stored = [(20, 2), (512 + 100, 3), (1024, 600), (0x7FFF00000, 1)]
    return Snapshot(
        host=HostFacts(1, 2, 3, "6.12.0", "fpu avx2", 0xABCD, 7),
        process=process(42),
        threads=[thread(42), thread(43)],
        vmas=vmas(),
        descriptors=descriptors(),
        timers=[PosixTimer(3, 1, 4, 10, 1 << 40, 43, Setting(5, 6))],
        gap_at=1 << 30,
        stretches=np.array(stored, dtype=np.int64),
        accessed=np.array([20, 1030], dtype=np.int64),
        dirty=np.array([1030, 5000], dtype=np.int64),
    )


def whole_image(front: Front) -> bytearray:
    """With pages that say where they lie."""
    data = bytearray(front.data)
    for number in range(front.layout.data_at_page, front.layout.end_page):
        data += number.to_bytes(8, "little") * (PAGE_BYTES // 8)
    return data


def made_image() -> bytearray:
    """Its image."""
    return whole_image(build_front(snapshot()))
