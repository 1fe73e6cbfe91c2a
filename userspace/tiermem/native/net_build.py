"""The net engine as `_net`: frontend and backend, and their parts by themselves for tests."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER

HEADERS = (
    "channel_layout.h",
    "channel.h",
    "net_link.h",
    "net_message.h",
    "net_ring.h",
    "net_macs.h",
    "net_frame.h",
    "net_counters.h",
    "net_unsent.h",
    "net_pulse.h",
    "net_announce.h",
    "net_last_words.h",
    "net_thread.h",
    "net_frontend.h",
    "net_backend.h",
)
SOURCES = (
    "channel.c",
    "channel_wait.c",
    "line_instructions.c",
    "net_link.c",
    "net_message.c",
    "net_pulse.c",
    "net_announce.c",
    "net_last_words.c",
    "net_ring.c",
    "net_unsent.c",
    "net_macs.c",
    "net_frame.c",
    "net_thread.c",
    "net_frontend.c",
    "net_frontend_instances.c",
    "net_frontend_again.c",
    "net_socket.c",
    "net_membership.c",
    "net_backend_instances.c",
    "net_backend_requests.c",
    "net_backend.c",
)


def ffi(root: Path) -> cffi.FFI:
    """Describes `_net`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_net",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
