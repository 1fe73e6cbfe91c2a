"""The image of a checkpointed process, and what takes and restores one, as `_fork`."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

CALLS = (
    "brk",
    "clock_nanosleep",
    "futex",
    "getitimer",
    "mmap",
    "munmap",
    "nanosleep",
    "poll",
    "prctl",
    "restart_syscall",
    "rt_sigaction",
    "sigaltstack",
    "timer_gettime",
)
"""Numbers of what a process is made to call, or may have called itself."""
_NUMBERS = "".join(f"#define SYS_{name} ...\n" for name in CALLS)

EXTENSION = Extension(
    "fork",
    native(
        "fork_image.h",
        "fork_trace.h",
        "trace_net.h",
        "page_scan.h",
        "process_fds.h",
        "restore_protocol.h",
        "fork_spawn.h",
        "host_cpu.h",
    ),
    native(
        "fork_trace.c",
        "trace_net.c",
        "page_scan.c",
        "process_fds.c",
        "fork_spawn.c",
        "host_cpu.c",
    ),
    system_headers=("sys/syscall.h",),
    declared=lambda _root: f"#define IMAGE_MAGIC ...\n{_NUMBERS}",
    flags=("-std=gnu99", "-Wall", "-Wextra"),
)
