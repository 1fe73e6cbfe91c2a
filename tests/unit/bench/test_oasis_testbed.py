"""What is made of round trips in emulated hosts."""

from __future__ import annotations

from bench import oasis_testbed
from bench.guest.round_trips import GuestTrips, from_json, to_json
from bench.oasis_net import PACKETS
from bench.oasis_testbed import DIRECT, OUTSIDES, POOLED


def trips(way: str, hosts: str, number: int, size: int, us: float) -> GuestTrips:
    return GuestTrips(way, hosts, number, size, 1, {50: us, 90: 2 * us, 99: 3 * us})


FOUND = [
    trips(way, hosts, number, size, slow * (us + (way == POOLED) * size))
    for number, slow in enumerate((1, 5, 1))
    for hosts, more in zip(OUTSIDES, (0, 100), strict=True)
    for size in PACKETS
    for way, us in ((DIRECT, 1000.0), (POOLED, 1500.0 + more))
]
"""The machine was five times slower in the second round."""


def test_what_is_added_is_a_difference_within_a_round() -> None:
    assert oasis_testbed.added_us(FOUND, "two", 64, 50) == 564
    assert oasis_testbed.figures(FOUND) == {
        "emulated_added_us_p50_two_hosts": 500 + max(PACKETS),
        "emulated_added_us_p50_three_hosts": 600 + max(PACKETS),
    }
    table = oasis_testbed.table(FOUND)
    assert table.row_count == len(OUTSIDES) * len(PACKETS)
    assert "not comparable with hardware" in str(table.caption)


def test_what_a_guest_has_found_is_read_as_it_was() -> None:
    assert from_json(to_json(FOUND)) == FOUND
