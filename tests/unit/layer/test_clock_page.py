"""Reading the modelled clock, judged against a page written through the C structure."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiermem.layer.clock_page import ClockPage
from tiermem.native._uapi import ffi

PAGE_BYTES = 4096


class Writer:
    """The device's side of the page: a shared file, seen as the C structure."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(PAGE_BYTES))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), PAGE_BYTES)
        self.clock: Any = ffi.from_buffer("struct tiermem_clock_page *", self._page)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "clock")


@pytest.fixture
def page(tmp_path: Path, writer: Writer) -> Iterator[ClockPage]:
    with (tmp_path / "clock").open("rb") as file:
        reader = ClockPage(mmap.mmap(file.fileno(), PAGE_BYTES, prot=mmap.PROT_READ))
    yield reader
    reader.close()


def test_busy_time_follows_the_device_at_once(writer: Writer, page: ClockPage) -> None:
    for busy_ns in (0, 1, 2**63):
        writer.clock.busy_ns = busy_ns
        assert page.busy_ns() == busy_ns


def test_a_vcpus_times_are_its_own(writer: Writer, page: ClockPage) -> None:
    writer.clock.vcpus[1].instructions, writer.clock.vcpus[1].busy_ns = 8, 2
    assert (page.vcpu_times(0), page.vcpu_times(1)) == ((0, 0), (8, 2))
    with pytest.raises(ValueError, match="vCPU 64: 0 to 63 is allowed"):
        page.vcpu_times(64)


def test_armed_is_seen(writer: Writer, page: ClockPage) -> None:
    assert not page.is_armed()
    writer.clock.armed = 1
    assert page.is_armed()


def test_a_reading_has_each_tier_and_vcpu_that_there_is(writer: Writer, page: ClockPage) -> None:
    writer.clock.nr_tiers = 2
    writer.clock.nr_vcpus = 3
    writer.clock.ps_per_instruction = 250
    writer.clock.tiers[1].read_bytes = 64
    writer.clock.vcpus[2].instructions = 5
    reading = page.read()
    assert reading.ps_per_instruction == 250
    assert reading.tiers["read_bytes"].tolist() == [0, 64]
    assert reading.vcpus["instructions"].tolist() == [0, 0, 5]


def test_a_reading_does_not_change_afterwards(writer: Writer, page: ClockPage) -> None:
    writer.clock.nr_tiers = 1
    reading = page.read()
    writer.clock.tiers[0].reads = 9
    assert reading.tiers["reads"].tolist() == [0]


def test_a_look_at_one_tier_follows_the_device_at_once(writer: Writer, page: ClockPage) -> None:
    writer.clock.nr_tiers = 2
    tier = writer.clock.tiers[1]
    tier.read_bytes, tier.reads, tier.stall_ns = 640, 10, 2**40
    tier.write_bytes, tier.writes = 3, 4
    assert page.tier_reads(1) == (640, 10, 2**40)
    assert page.tier_reads(0) == (0, 0, 0)
    with pytest.raises(ValueError, match="0 to 3 is allowed"):
        page.tier_reads(4)


def test_counts_beyond_the_layout_are_cut(writer: Writer, page: ClockPage) -> None:
    writer.clock.nr_tiers = writer.clock.nr_vcpus = 2**32 - 1
    reading = page.read()
    assert (len(reading.tiers), len(reading.vcpus)) == (4, 64)
