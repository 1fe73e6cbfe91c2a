"""The plugin's command line: everything named, everything in range, or one sentence."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.unit.qemu_plugin.conftest import default_settings, parse_options


def test_the_defaults_file_is_a_whole_command_line(library: ctypes.CDLL, tmp_path: Path) -> None:
    options, error, _ = parse_options(library, default_settings(tmp_path))
    assert options is not None, error
    assert options.bar_path.decode() == str(tmp_path / "bar")
    assert list(options.parameters[:3]) == [250, 8 << 20, 16]


def test_numbers_are_decimal_and_go_as_far_as_64_bits(library: ctypes.CDLL, tmp_path: Path) -> None:
    numbers = {"seed": "18446744073709551615", "pac_limit_bytes": "010", "trace_records": "1"}
    options, error, _ = parse_options(library, default_settings(tmp_path) | numbers)
    assert options is not None, error
    assert (options.seed, options.pac_limit_bytes, options.trace_records) == (2**64 - 1, 10, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"llc_ways": "0"}, "llc_ways=0: allowed are 1 to 32"),
        ({"llc_ways": "16x"}, "llc_ways=16x: allowed are 1 to 32"),
        ({"llc_ways": "-1"}, "llc_ways=-1: allowed are 1 to 32"),
        ({"llc_ways": "3"}, "llc_bytes must be 64 x llc_ways x a power of two"),
        ({"llc_size": "1"}, "llc_size=1: there is no such option"),
        ({"seed": "one"}, "seed=one: allowed are 0 to 18446744073709551615"),
        ({"seed": " -5"}, "seed= -5: allowed are 0 to 18446744073709551615"),
        ({"seed": "-5"}, "seed=-5: allowed are 0 to"),
        ({"seed": "+5"}, "seed=+5: allowed are 0 to"),
        ({"seed": ""}, "seed=: allowed are 0 to"),
        ({"seed": "18446744073709551616"}, "seed=18446744073709551616: allowed are 0 to"),
        ({"pac_limit_bytes": "64G"}, "pac_limit_bytes=64G: allowed are 0 to"),
        ({"trace_records": "0"}, "trace_records=0: allowed are 1 to 18446744073709551615"),
        ({"nr_tiers": None}, "a parameter is missing or out of its range"),
        ({"bar": None}, "bar=FILE is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    library: ctypes.CDLL, tmp_path: Path, change: dict[str, str | None], sentence: str
) -> None:
    settings = {k: v for k, v in (default_settings(tmp_path) | change).items() if v is not None}
    options, error, _ = parse_options(library, settings)
    assert options is None
    assert error.startswith(sentence)
