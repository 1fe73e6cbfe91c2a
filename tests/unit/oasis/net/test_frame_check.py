"""Which frames an instance may send: untagged, from its own address, also within ARP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._net import ffi, lib

MINE, OTHER = 0x020000000001, 0x020000000002
IPV4, ARP, RARP, TAGGED, SERVICE_TAGGED = 0x0800, 0x0806, 0x8035, 0x8100, 0x88A8
NEEDS_CHECKSUM = 1
GOOD, MALFORMED, SPOOFED = (lib.NET_FRAME_GOOD, lib.NET_FRAME_MALFORMED, lib.NET_FRAME_SPOOFED)


def offloads(flags: int = 0, segments: int = 0, checksum_start: int = 0) -> bytes:
    """struct virtio_net_hdr."""
    return struct.pack("<BBHHHH", flags, segments, 0, 0, checksum_start, 0)


def frame(
    kind: int, *, source: int = MINE, sender: int = MINE, offload: bytes | None = None
) -> bytes:
    arp = struct.pack(">HHBBH", 1, IPV4, 6, 4, 1) + sender.to_bytes(6, "big") + bytes(14)
    ethernet = b"\xff" * 6 + source.to_bytes(6, "big") + struct.pack(">H", kind)
    return (offload or offloads()) + ethernet + arp


def verdict(head: bytes, mac: int = MINE) -> int:
    return int(lib.net_frame_check(ffi.from_buffer(head), len(head), mac))


@pytest.mark.parametrize("kind", [IPV4, ARP, RARP, 0x86DD])
def test_own_frames_are_good(kind: int) -> None:
    assert verdict(frame(kind)) == GOOD


@pytest.mark.parametrize("kind", [IPV4, ARP, RARP])
def test_another_source_is_spoofed(kind: int) -> None:
    assert verdict(frame(kind, source=OTHER)) == SPOOFED


@pytest.mark.parametrize("kind", [ARP, RARP])
def test_another_sender_within_arp_is_spoofed(kind: int) -> None:
    assert verdict(frame(kind, sender=OTHER)) == SPOOFED


@pytest.mark.parametrize("kind", [TAGGED, SERVICE_TAGGED])
def test_tags_are_not_an_instances_to_set(kind: int) -> None:
    assert verdict(frame(kind)) == MALFORMED


@pytest.mark.parametrize("start", [0, 6, 14, 33])
def test_a_checksum_that_would_be_put_over_addresses_is_refused(start: int) -> None:
    """The kernel, or the NIC, writes it after the frame was looked at."""
    assert verdict(frame(IPV4, offload=offloads(NEEDS_CHECKSUM, 0, start))) == MALFORMED
    assert verdict(frame(IPV4, offload=offloads(NEEDS_CHECKSUM, 0, 34))) == GOOD


def test_arp_has_neither_checksum_nor_segments() -> None:
    assert verdict(frame(ARP, offload=offloads(NEEDS_CHECKSUM, 0, 40))) == MALFORMED
    assert verdict(frame(ARP, offload=offloads(segments=1))) == MALFORMED


@given(st.integers(0, 51))
def test_too_short(length: int) -> None:
    assert verdict(frame(IPV4)[:length]) == (GOOD if length >= 24 else MALFORMED)
    assert verdict(frame(ARP)[:length]) == MALFORMED


@given(st.binary(max_size=int(lib.NET_HEAD_BYTES)))
def test_any_bytes_have_a_verdict_and_none_of_another_source_is_good(head: bytes) -> None:
    assert verdict(head) in (GOOD, MALFORMED, SPOOFED)
    if len(head) >= 24 and head[16:22] != MINE.to_bytes(6, "big"):
        assert verdict(head) == SPOOFED


@given(st.integers(0, 2**48 - 1))
def test_kinds_of_addresses(mac: int) -> None:
    first = mac >> 40
    assert bool(lib.net_mac_is_multicast(mac)) == (first & 1 == 1)
    assert bool(lib.net_mac_is_local(mac)) == (first & 3 == 2)
