"""Load on sockets, and a relay, as `_net_load`, for bench/net_load.py."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

EXTENSION = Extension("net_load", native("net_load.h"), native("net_load.c", "net_socket.c"))
