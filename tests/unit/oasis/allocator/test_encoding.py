"""Reports and tables go through bytes unchanged, and bytes of any kind do no harm."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import DamagedError, NoSpaceError
from tiermem.oasis.allocator.encoding import (
    DEVICES_MAX,
    Report,
    decode_report,
    decode_table,
    encode_report,
    encode_table,
)
from tiermem.oasis.allocator.leadership import Table, next_term
from tiermem.oasis.allocator.pod import DeviceId, Kind, Loan, Pod

from tests.unit.oasis.allocator.hand_made import nic, wants
from tests.unit.oasis.allocator.pods import pods, unhurried

HOST, HOSTS = 1, 4


def of_host(pod: Pod) -> Report:
    return Report(
        tuple(one for key, one in pod.devices.items() if key.host == HOST),
        tuple(one for key, one in pod.instances.items() if key.host == HOST),
    )


@unhurried
@given(pods())
def test_a_report_is_read_as_it_was_written(pod: Pod) -> None:
    report = of_host(pod)
    assert decode_report(HOST, encode_report(report)) == report


def test_so_is_what_is_seldom_said() -> None:
    backed = replace(nic(HOST), backup=DeviceId(3, 2))
    asked = replace(wants(HOST, 0, 1 << 40, Kind.SSD), wish=DeviceId(0, 1))
    report = Report((backed,), (asked,), (DeviceId(0, 0), DeviceId(3, 1)), life=1 << 60)
    assert decode_report(HOST, encode_report(report)) == report


@unhurried
@given(pods(), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_a_table_is_read_as_it_was_written(pod: Pod, highest: int, version: int) -> None:
    term = next_term(highest, HOST)
    loans = (Loan(DeviceId(0, 0), DeviceId(1, 0)),)
    table = Table(term, highest, version, tuple(pod.assignments.items()), loans)
    assert decode_table(HOST, HOSTS, encode_table(table)) == table


@unhurried
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        decode_report(HOST, data)
    with contextlib.suppress(DamagedError):
        decode_table(HOST, HOSTS, data)


@unhurried
@given(st.data())
def test_one_changed_word_is_read_or_refused(data: st.DataObject) -> None:
    instances = wants(HOST, 0, 5), wants(HOST, 1, 6)
    report = Report((nic(HOST), nic(HOST, 1)), instances, (DeviceId(0, 0), DeviceId(0, 1)))
    words = np.frombuffer(encode_report(report), np.uint16).copy()
    words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.integers(0, 0xFFFF))
    with contextlib.suppress(DamagedError):
        found = decode_report(HOST, words.tobytes())
        assert all(one.id.host == HOST for one in (*found.devices, *found.instances))


def test_what_no_honest_host_says_is_named() -> None:
    twice = Report((nic(HOST), nic(HOST)))
    with pytest.raises(DamagedError, match="report of host 1: names something twice"):
        decode_report(HOST, encode_report(twice))
    silent = Report(unreachable=(DeviceId(0, 0), DeviceId(0, 0)))
    with pytest.raises(DamagedError, match="names something twice"):
        decode_report(HOST, encode_report(silent))
    another = encode_table(Table(next_term(0, 2)))
    with pytest.raises(DamagedError, match="table of host 1: term 66 of 0 cannot be its"):
        decode_table(HOST, HOSTS, another)
    with pytest.raises(DamagedError, match="8 bytes too many"):
        decode_report(HOST, encode_report(Report()) + bytes(8))


def test_more_than_a_host_may_have_is_not_written() -> None:
    many = Report(tuple(nic(HOST, number) for number in range(DEVICES_MAX + 1)))
    with pytest.raises(NoSpaceError, match="17 devices of one host: at most 16"):
        encode_report(many)
