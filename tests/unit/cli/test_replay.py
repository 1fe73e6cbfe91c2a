"""`tiermem replay` as one types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiermem.cli.main import main

SMALL = ("--pages", "2048", "--records", "60000")


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


Replay = Callable[..., Ended]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Replay:
    """Runs the command in this process: starting Python takes longer than a replay."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr("sys.argv", ["tiermem", "replay", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run


def test_compare_prints_every_policy(replay: Replay) -> None:
    result = replay("--synthetic", "hotset", "--compare", *SMALL)
    assert result.returncode == 0, result.stderr
    for policy in ("none", "m5-hpt", "m5-hwt", "m5-hpt+hwt", "oracle"):
        assert f" {policy} " in result.stdout
    assert "60,000 records, 2,048 pages, 512 of DRAM" in result.stdout


def test_json_holds_runs_settings_and_the_speed(replay: Replay) -> None:
    result = replay("--json", "--set", "nominator.min_visits=1,2", "--policy", "none", *SMALL)
    assert result.returncode == 0, result.stderr
    out = json.loads(result.stdout)
    assert out["replay_accesses_per_s"] is None
    assert [run["policy"] for run in out["runs"]] == ["none"]
    result = replay("--json", "--set", "nominator.min_visits=1,2", *SMALL)
    out = json.loads(result.stdout)
    assert [run["changes"] for run in out["runs"]] == [
        {"nominator.min_visits": "1"},
        {"nominator.min_visits": "2"},
    ]
    assert out["replay_accesses_per_s"] == min(run["accesses_per_s"] for run in out["runs"])
    assert out["machine"]["dram_pages"] == 512
    assert out["machine"]["memsys"]["llc_ways"] == 16


def test_a_saved_pattern_replays_and_a_damaged_one_is_one_line(
    replay: Replay, tmp_path: Path
) -> None:
    path = tmp_path / "hot.trace"
    assert replay("--synthetic", "hotset", "--save", path, *SMALL).returncode == 0
    assert replay(path).returncode == 0
    path.write_bytes(path.read_bytes()[:-1])
    result = replay(path)
    assert result.returncode == 1
    size = path.stat().st_size
    assert result.stderr == (
        f"tiermem: {path}: offset {size}: the file ends after 59999 of 60000 records\n"
    )


def test_a_recording_that_is_not_whole_says_so_everywhere(replay: Replay, tmp_path: Path) -> None:
    path = tmp_path / "cut.trace"
    assert replay("--synthetic", "hotset", "--save", path, *SMALL).returncode == 0
    content = bytearray(path.read_bytes())
    content[24:32] = (5_000).to_bytes(8, "little")
    path.write_bytes(content)
    result = replay(path, "--policy", "none")
    assert result.returncode == 0
    assert f"{path}: the recorder dropped 5000 accesses" in result.stderr
    assert "60,000 records (5,000 more were dropped)" in result.stdout
    assert json.loads(replay(path, "--json").stdout)["trace"]["dropped"] == 5_000


def test_wrong_options_are_one_line_and_exit_2(replay: Replay, tmp_path: Path) -> None:
    for arguments, reason in (
        (("--synthetic", "zipfian"), "allowed: uniform, scan, zipf"),
        (("--policy", "best"), "allowed: none, m5-hpt"),
        (("--memsys", "llc_ways=many"), "NAME=NUMBER"),
        (("--set", "nominator.mode"), "KEY=VALUE"),
        (("--set", "elector.power=-1"), "power"),
        ((tmp_path / "x", "--synthetic", "scan"), "not both"),
        (("--warmup", "1.5"), "warm-up"),
        (("--dram-pages", "0"), "DRAM"),
    ):
        result = replay(*arguments, *SMALL)
        assert result.returncode == 2, result.stderr
        assert reason in result.stderr
        assert result.stderr.count("\n") == 1
