"""The image of a checkpointed process, and what takes and restores one, as `_fork`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

HEADERS = (
    "fork_image.h",
    "fork_trace.h",
    "trace_net.h",
    "page_scan.h",
    "process_fds.h",
    "restore_protocol.h",
    "fork_spawn.h",
    "host_cpu.h",
)
SOURCES = (
    "fork_trace.c",
    "trace_net.c",
    "page_scan.c",
    "process_fds.c",
    "fork_spawn.c",
    "host_cpu.c",
)


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


def ffi(root: Path) -> cffi.FFI:
    """Describes `_fork`; `root` is the checkout."""
    native = root / "userspace/tiermem/native"
    builder = cffi.FFI()
    headers = [native / name for name in HEADERS]
    numbers = "".join(f"#define SYS_{name} ...\n" for name in CALLS)
    builder.cdef(f"{declarations(headers)}\n#define IMAGE_MAGIC ...\n{numbers}")
    builder.set_source(
        "_fork",
        "#include <sys/syscall.h>\n" + "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(native / name) for name in SOURCES],
        include_dirs=[str(native)],
        extra_compile_args=["-std=gnu99", "-Wall", "-Wextra"],
    )
    return builder
