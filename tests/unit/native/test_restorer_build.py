"""The restorer can be copied to any address: what would prevent that does not build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiermem.errors import TiermemError
from tiermem.native.build import NATIVE, build
from tiermem.native.restorer_build import FILE, Program, check_runs_anywhere, restorer

START = "void _start(void) {{ for (;;) {}; }}\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "small.c"
    source.write_text(START.format(""))
    return Program("small", FILE, (source,), ())


def test_it_is_built_where_it_is_looked_for(program: Program, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    assert build(program, out, work)
    assert (out / FILE).stat().st_mode & 0o111
    assert not build(program, out, work)
    assert build(replace(program, flags=(*program.flags, "-O1")), out, work)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("int a; int *volatile table[] = { &a };" + START.format("table[0]++"), "has relocations"),
        ("int counter;" + START.format("counter++"), "has data that is written to"),
        ("int counter = 1;" + START.format("counter++"), "has data that is written to"),
    ],
)
def test_data_of_its_own_is_refused(
    program: Program, tmp_path: Path, text: str, trouble: str
) -> None:
    program.sources[0].write_text(text)
    with pytest.raises(TiermemError, match=trouble):
        build(program, tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out" / FILE).exists()


def test_the_restorer_itself() -> None:
    described = restorer(NATIVE)
    assert NATIVE / "restorer/start.c" in described.sources
    check_runs_anywhere(NATIVE / FILE)
