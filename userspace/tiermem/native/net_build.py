"""The net engine as `_net`: frontend and backend, and their parts by themselves for tests."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

HEADERS = native(
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
SOURCES = native(
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

EXTENSION = Extension("net", HEADERS, SOURCES)
