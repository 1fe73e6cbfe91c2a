"""What one side of a link has done, since it was opened: native/net_counters.h."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Counters:
    """TX is from instances, RX is to instances; bytes include 10 of offloads a frame.

    tx_again: of tx_frames, those that a NIC which fell silent had been given before.
    dropped_spoofed: from an address that is not the instance's, also within ARP.
    dropped_malformed: too short or long, tagged, or with offloads not understood.
    dropped_no_room: the peer does not take its frames.
    dropped_waiting: in the backend's socket, where frames came faster than were taken.
    dropped_by_device: the TAP or the NIC did not want it.
    dropped_nobody: for or from an instance that is not there (any longer).
    refused_messages: of the peer: unknown, out of place, out of bounds.
    """

    tx_frames: int
    tx_bytes: int
    tx_again: int
    rx_frames: int
    rx_bytes: int
    dropped_spoofed: int
    dropped_malformed: int
    dropped_no_room: int
    dropped_waiting: int
    dropped_by_device: int
    dropped_nobody: int
    refused_messages: int


def counters_of(native: Any) -> Counters:
    """From struct net_counters."""
    return Counters(**{field.name: getattr(native, field.name) for field in fields(Counters)})
