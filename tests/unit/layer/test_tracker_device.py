"""What can be judged of the tracker device without one: records and missing nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import KernelError, MissingError
from tiermem.layer.tracker_config import ListKind
from tiermem.layer.tracker_device import ENTRIES_MAX, ENTRY_DTYPE, TrackerDevice, parse_record
from tiermem.native._uapi import ffi

U64 = st.integers(0, 2**64 - 1)
RECORD_BYTES = ffi.sizeof("struct tiermem_hpt_record")


def record_bytes(
    kind: int, entries: list[tuple[int, int]], number: int = 0, lost: int = 0
) -> bytes:
    record = ffi.new(
        "struct tiermem_hpt_record *",
        {
            "kind": kind,
            "number": number,
            "nr_entries": len(entries),
            "lost": lost,
            "busy_ns": 11,
            "reads": 22,
        },
    )
    return bytes(ffi.buffer(record)) + np.array(entries, dtype=ENTRY_DTYPE).tobytes()


@given(st.sampled_from(ListKind), st.lists(st.tuples(U64, U64), max_size=40))
def test_a_record_is_read_as_the_list_it_holds(
    kind: ListKind, entries: list[tuple[int, int]]
) -> None:
    hot = parse_record(record_bytes(kind, entries, number=7, lost=3))
    assert hot.entries.tolist() == entries
    assert (hot.kind, hot.number, hot.lost, hot.busy_ns, hot.reads) == (kind, 7, 3, 11, 22)


def test_a_record_cut_short_is_an_error() -> None:
    whole = record_bytes(ListKind.HPT, [(4096, 2)])
    for length in (0, RECORD_BYTES - 1, len(whole) - 1):
        with pytest.raises(ValueError, match="bytes"):
            parse_record(whole[:length])


def test_an_entry_is_two_words_as_in_the_header() -> None:
    assert ENTRY_DTYPE.itemsize == 16
    assert ENTRY_DTYPE.names == ("address", "count")
    assert ENTRIES_MAX == 4096


def test_a_missing_node_says_which_module_to_load(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"hpt7 is not there.*tiermem_hpt is not loaded"):
        TrackerDevice(tmp_path / "hpt7")


def test_a_file_that_is_no_tracker_is_a_kernel_error_that_names_the_call(tmp_path: Path) -> None:
    impostor = tmp_path / "hpt0"
    impostor.touch()
    with (
        TrackerDevice(impostor) as device,
        pytest.raises(KernelError, match=r"arm: .*ENOTTY"),
    ):
        device.arm()
