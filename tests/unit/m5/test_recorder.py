"""The record of rounds: what was nominated, what was promoted, one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiermem.errors import ConfigError
from tiermem.m5.recorder import Recorder

from tests.unit.m5.lists import ROUND_NS
from tests.unit.m5.test_engine import FIRST, engine


def test_a_round_is_a_line_and_a_restart_goes_on_below(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    tiering = engine(tmp_path, {1: 300, 2: 200, 3: 100}, limit_pages=2, dry_run=True)
    for number in (1, 2):
        recorder = Recorder(path)
        recorder.write(tiering.run_round(number * ROUND_NS))
        recorder.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["now_ns"] for line in lines] == [ROUND_NS, 2 * ROUND_NS]
    nominated = [FIRST + 1, FIRST + 2, FIRST + 3]
    assert lines[0]["nominated"] == nominated  # whatever the rate limit made of them
    assert lines[0]["promoted"] == nominated[: len(lines[0]["promoted"])]
    assert len(lines[0]["promoted"]) < 3
    assert lines[0]["reason"]


def test_a_place_that_cannot_be_written_is_a_wrong_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="record = "):
        Recorder(tmp_path / "absent/rounds.jsonl")
