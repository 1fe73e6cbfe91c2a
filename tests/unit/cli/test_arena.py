"""`tiermem arena`, as it is typed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiermem.cli.main import main
from tiermem.layer.arena import Emulation, HotFrames, create_arena
from tiermem.layer.pages import read_pagemap

MIB = 1 << 20
Typed = Callable[..., str]


@pytest.fixture
def tiermem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Typed:
    """What `tiermem arena …` prints, in this process; it ends well."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("tiermem.layer.arena.registry.default_run_dir", lambda: tmp_path)
    # Root also looks into ordinary users' folders; here there is one.
    monkeypatch.setattr("os.geteuid", lambda: 1)

    def run(*words: object) -> str:
        monkeypatch.setattr("sys.argv", ["tiermem", "arena", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    return run


def test_the_list(tiermem: Typed) -> None:
    assert tiermem("ls") == "no arenas\n"
    assert json.loads(tiermem("ls", "--json")) == []
    with (
        create_arena("kv", 2 * MIB, nodes=[0]) as arena,
        create_arena("far", MIB, nodes=[0], emulation=Emulation(30_000_000_000, 250)),
        arena.allocate(MIB),
    ):
        table = tiermem("ls")
        rows = {row["name"]: row for row in json.loads(tiermem("ls", "--json"))}
        huge = arena.huge_bytes()
    kv, far = (next(line for line in table.splitlines() if f" {n} " in line) for n in rows)
    assert {"1.0", "2.0", str(os.getpid())} <= {word.strip() for word in (kv + far).split("│")}
    assert "emulated 30 GB/s 250 ns on" in table
    assert rows["kv"]["used_bytes"] == MIB
    assert (rows["kv"]["huge_bytes"], rows["kv"]["nodes"], rows["kv"]["emulated"]) == (
        *(huge, [0], None),
    )
    assert rows["far"]["emulated"] == {"bandwidth_Bps": 30_000_000_000, "latency_ns": 250}
    assert rows["far"]["program"]


@pytest.mark.skipif(os.geteuid() != 0, reason="page frame numbers are root's to see")
def test_the_list_says_how_much_is_hot_where_m5_runs(
    tiermem: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create_arena("kv", MIB, nodes=[0]) as arena:
        assert json.loads(tiermem("ls", "--json"))[0]["hot_bytes"] is None
        pfns = read_pagemap(os.getpid(), arena.address, arena.bytes // 4096).pfns[:64]
        frames = HotFrames(pfns, np.ones(len(pfns)))
        monkeypatch.setattr("tiermem.cli.arena.read_hot_frames", lambda: frames)
        assert json.loads(tiermem("ls", "--json"))[0]["hot_bytes"] == 64 * 4096
        (line,) = (line for line in tiermem("ls").splitlines() if " kv " in line)
        assert "0.2" in [word.strip() for word in line.split("│")]


def test_help_teaches(tiermem: Typed) -> None:
    text = tiermem("--help") + tiermem("ls", "--help")
    assert "create_arena" in text
    assert "held to the figures" in text
