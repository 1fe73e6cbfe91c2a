"""Sockets that listen: what is needed to have them listen again."""

from __future__ import annotations

import os
import socket

from tiermem.native._fork import ffi, lib

_REUSE_ADDRESS, _REUSE_PORT, _IPV6_ONLY = 1, 2, 4
_ADDRESS_BYTES_MAX = 128
# tcpi_sacked in struct tcp_info: of a socket that listens, how many may wait.
_TCP_INFO_BACKLOG_AT = 28


def listening_extra(fd: int) -> bytes | None:
    """struct image_listener and the address; None for any other socket."""
    with socket.socket(fileno=os.dup(fd)) as one:
        if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        listener = ffi.new("struct image_listener *")
        listener.family, listener.type, listener.protocol = one.family, one.type, one.proto
        listener.backlog = _backlog(one)
        listener.options = _options(one)
    room = ffi.new("uint8_t[]", _ADDRESS_BYTES_MAX)
    listener.address_bytes = lib.process_fd_address(fd, room, _ADDRESS_BYTES_MAX)
    return bytes(ffi.buffer(listener)) + bytes(ffi.buffer(room, listener.address_bytes))


def _backlog(one: socket.socket) -> int:
    if one.proto != socket.IPPROTO_TCP:
        return socket.SOMAXCONN
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[_TCP_INFO_BACKLOG_AT : _TCP_INFO_BACKLOG_AT + 4], "little")


def _options(one: socket.socket) -> int:
    asked = [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, _REUSE_ADDRESS),
        (socket.SOL_SOCKET, socket.SO_REUSEPORT, _REUSE_PORT),
    ]
    if one.family == socket.AF_INET6:
        asked.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, _IPV6_ONLY))
    if one.family == socket.AF_UNIX:
        asked = []
    return sum(bit for level, name, bit in asked if one.getsockopt(level, name))
