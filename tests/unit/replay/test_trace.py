"""Recordings: what is written comes back, and what is damaged is named by file and offset."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tiermem.replay.trace import TraceError, open_recording, write_recording

from .traces import Listed, pattern, run

HEADER_BYTES = 64


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "some.trace"
    write_recording(
        path, Listed([0x7F00_0000_0000, 0x7F00_0000_0040, 0x1000], [False, True, False])
    )
    return path


def patch(path: Path, offset: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(data)] = data
    path.write_bytes(whole)


def test_the_layout_is_as_documented(recording: Path) -> None:
    magic, version, kind, records, dropped = struct.unpack_from("<8sIIQQ", recording.read_bytes())
    assert (magic, version, kind, records, dropped) == (b"TIERTRC1", 1, 0, 3, 0)
    first, second, third = struct.unpack_from("<3Q", recording.read_bytes(), HEADER_BYTES)
    assert first == 10 << 52 | 0x7F00_0000_0000
    assert second == 10 << 52 | 1 << 51 | 0x7F00_0000_0040
    assert third == 10 << 52 | 0x1000


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    trace = pattern("zipf", records=100_000)
    path = tmp_path / "zipf.trace"
    write_recording(path, trace)
    back = open_recording(path)
    assert back.records == 100_000
    assert back.pages <= trace.pages
    assert (np.concatenate(list(back.chunks())) == np.concatenate(list(trace.chunks()))).all()


def test_a_recording_replays_like_what_it_recorded(tmp_path: Path) -> None:
    trace = Listed([page << 12 for page in range(64)] * 100)
    path = tmp_path / "some.trace"
    write_recording(path, trace)
    direct, recorded = run(trace, "none"), run(open_recording(path), "none")
    assert recorded.modelled_ms == direct.modelled_ms
    assert recorded.dram_read_share == direct.dram_read_share


def test_what_the_recorder_dropped_is_known_and_stays_known(
    recording: Path, tmp_path: Path
) -> None:
    assert open_recording(recording).dropped == 0
    patch(recording, 24, struct.pack("<Q", 5_000))
    cut = open_recording(recording)
    assert (cut.records, cut.dropped) == (3, 5_000)
    write_recording(tmp_path / "copy.trace", cut)
    assert open_recording(tmp_path / "copy.trace").dropped == 5_000


def test_records_to_the_end_of_the_file_need_no_number(recording: Path) -> None:
    patch(recording, 16, bytes(8))
    assert open_recording(recording).records == 3


def test_a_gap_record_is_time_without_an_access(recording: Path) -> None:
    patch(recording, HEADER_BYTES + 8, struct.pack("<Q", 1 << 50 | 1_000_000))
    result = run(open_recording(recording), "none")
    assert result.accesses == 2
    assert result.modelled_ms > 0.25


@pytest.mark.parametrize(
    ("offset", "data", "reason"),
    [
        (0, b"NOTATRCE", "offset 0: not a tiermem trace"),
        (8, struct.pack("<I", 9), "offset 8: version 9"),
        (12, struct.pack("<I", 5), "offset 12: address kind 5"),
        (16, struct.pack("<Q", 4), "offset 88: the file ends after 3 of 4 records"),
        (
            HEADER_BYTES + 16,
            struct.pack("<Q", 1 << 60 | 1 << 50),
            "offset 80: malformed record 0x1004000000000000",
        ),
    ],
)
def test_damage_is_named_by_file_and_offset(
    recording: Path, offset: int, data: bytes, reason: str
) -> None:
    patch(recording, offset, data)
    with pytest.raises(TraceError, match=f"{recording}: {reason}"):
        open_recording(recording)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (0, "offset 0: the file ends inside the header"),
        (63, "offset 63: the file ends inside the header"),
        (64, "offset 64: the file ends after 0 of 3 records"),
        (87, "offset 87: the file ends after 2 of 3 records"),
    ],
)
def test_a_truncated_file_is_named_by_its_end(recording: Path, size: int, reason: str) -> None:
    recording.write_bytes(recording.read_bytes()[:size])
    with pytest.raises(TraceError, match=f"{recording}: {reason}"):
        open_recording(recording)


def test_an_unfinished_last_record_is_named_where_no_number_was_promised(recording: Path) -> None:
    patch(recording, 16, bytes(8))
    recording.write_bytes(recording.read_bytes()[:-3])
    with pytest.raises(TraceError, match=f"{recording}: offset 80: the last record is cut short"):
        open_recording(recording)


def test_an_empty_or_absent_trace_is_an_error(recording: Path, tmp_path: Path) -> None:
    patch(recording, 16, bytes(8))
    recording.write_bytes(recording.read_bytes()[:HEADER_BYTES])
    with pytest.raises(TraceError, match="no records"):
        open_recording(recording)
    with pytest.raises(TraceError, match=r"absent\.trace: cannot be read: No such file"):
        open_recording(tmp_path / "absent.trace")
