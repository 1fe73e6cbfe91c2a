"""Reading tracefs format files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError
from tiermem.probes.tracepoints import parse_format, read_tracepoint

FORMAT = """\
name: mm_migrate_pages
ID: 563
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long succeeded;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned long failed;\toffset:16;\tsize:8;\tsigned:0;
\tfield:char name[16];\toffset:24;\tsize:16;\tsigned:0;
\tfield:const char * label;\toffset:40;\tsize:8;\tsigned:0;
\tfield:enum migrate_mode mode;\toffset:56;\tsize:4;\tsigned:0;
\tfield:int reason;\toffset:60;\tsize:4;\tsigned:1;

print fmt: "nr_succeeded=%lu mode=%s reason=%s", REC->succeeded, \
__print_symbolic(REC->mode, {0, "MIGRATE_ASYNC"}, {1, "MIGRATE_SYNC_LIGHT"}), \
__print_symbolic(REC->reason, {0, "compaction"}, { 0x9, "damon" })
"""


def test_positions_leave_the_common_fields_out() -> None:
    event = parse_format("migrate", "mm_migrate_pages", FORMAT)
    assert event.fields == ("succeeded", "failed", "name", "label", "mode", "reason")
    assert event.position("reason") == 5


def test_values_get_the_names_that_the_kernel_prints() -> None:
    event = parse_format("migrate", "mm_migrate_pages", FORMAT)
    assert event.symbols == {
        "mode": {0: "MIGRATE_ASYNC", 1: "MIGRATE_SYNC_LIGHT"},
        "reason": {0: "compaction", 9: "damon"},
    }


def test_a_field_that_this_kernel_lacks_is_named_with_those_it_has() -> None:
    event = parse_format("migrate", "mm_migrate_pages", FORMAT)
    with pytest.raises(MissingError, match=r"no field thp_split.*succeeded, failed"):
        event.position("thp_split")


def test_an_absent_event_is_none(tmp_path: Path) -> None:
    assert read_tracepoint("migrate", "mm_migrate_pages", tmp_path) is None


def test_an_event_is_read_from_tracefs(tmp_path: Path) -> None:
    folder = tmp_path / "events" / "migrate" / "mm_migrate_pages"
    folder.mkdir(parents=True)
    (folder / "format").write_text(FORMAT)
    event = read_tracepoint("migrate", "mm_migrate_pages", tmp_path)
    assert event is not None
    assert event.position("succeeded") == 0
