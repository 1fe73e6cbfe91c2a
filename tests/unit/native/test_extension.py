"""What an extension is made of: named files, and patterns of them that match something."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import TiermemError
from tiermem.native.extension import Extension


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name in ("one.h", "a.c", "b.c"):
        (tmp_path / "model" / name).write_text("int one(void);\n")
    return tmp_path


def test_patterns_stand_for_files_in_order(root: Path) -> None:
    ffi = Extension("one", ("model/one.h",), ("model/*.c",), folders=("model",)).ffi(root)
    module, text, _, keywords = ffi._assigned_source  # type: ignore[attr-defined]
    assert (module, text) == ("_one", '#include "one.h"')
    assert keywords["sources"] == [str(root / "model/a.c"), str(root / "model/b.c")]


@pytest.mark.parametrize("missing", ["model/c.c", "models/*.c"])
def test_a_source_that_is_not_there_is_named(root: Path, missing: str) -> None:
    with pytest.raises(TiermemError, match=r"_one: .*: there is no such source"):
        Extension("one", ("model/one.h",), (missing,)).ffi(root)
