"""What a processor has instructions for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.layer.processor import multiplies_bfloat16, processor_flags


@pytest.mark.parametrize(
    ("cpuinfo", "has_them"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("model name\t: of bf16\nflags\t\t: fpu avx2 avx512f avx512bw\n", False),
        ("", False),
    ],
)
def test_bfloat16_is_multiplied_where_a_flag_says_so(
    tmp_path: Path, cpuinfo: str, has_them: bool
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert multiplies_bfloat16(file) is has_them


def test_flags_are_those_of_the_first_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: a b\n\nprocessor\t: 1\nflags\t\t: c\n")
    assert processor_flags(file) == ("a", "b")
