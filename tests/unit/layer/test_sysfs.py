"""Small kernel files: absent is None, nonsense names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import KernelError, TiermemError
from tiermem.layer.sysfs import (
    numbered,
    parse_list,
    read_choice,
    read_flag,
    read_int,
    read_list,
    read_text,
)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "file"
    assert (read_text(absent), read_int(absent), read_flag(absent)) == (None, None, None)
    assert read_choice(absent) is None
    assert read_list(absent) == ()
    assert numbered(absent, "node") == {}


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=f"read {tmp_path}: Is a directory"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"), [("true\n", True), ("Y\n", True), ("0\n", False), ("false", False)]
)
def test_switches_in_all_their_spellings(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "switch").write_text(text)
    assert read_flag(tmp_path / "switch") is expected


def test_nonsense_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("maybe\n")
    for reader in (read_flag, read_int, read_list):
        with pytest.raises(TiermemError, match=f"{path}: .*maybe"):
            reader(path)


def test_the_chosen_word(tmp_path: Path) -> None:
    path = tmp_path / "enabled"
    path.write_text("always [madvise] never\n")
    assert read_choice(path) == "madvise"
    path.write_text("never\n")
    assert read_choice(path) == "never"


def test_lists() -> None:
    assert parse_list("0-2,5,7-7", "x") == (0, 1, 2, 5, 7)


@settings(max_examples=100)
@given(st.sets(st.integers(min_value=0, max_value=300), min_size=1))
def test_any_set_survives_the_kernels_list_format(numbers: set[int]) -> None:
    ordered = sorted(numbers)
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    text = ",".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
    assert parse_list(text, "x") == tuple(ordered)


def test_numbered_entries_are_in_order_of_number(tmp_path: Path) -> None:
    for name in ("node10", "node2", "nodes", "xnode3", "node"):
        (tmp_path / name).mkdir()
    assert list(numbered(tmp_path, "node")) == [2, 10]
