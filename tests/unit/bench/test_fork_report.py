"""Tables and picture of `bench.fork`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fork import Found, as_json
from bench.fork_catalog import plan
from bench.fork_figures import rows
from bench.fork_picture import draw
from bench.fork_report import COLUMNS, cells, print_tables
from bench.fork_session import Measured
from bench.guest.fork_spec import CRIU_CXL, FORK, MOW_GHOST, Sharing
from bench.pool_copy import CopySpeed
from tests.unit.bench.fork_results import a_result, a_start

RESULTS = [
    a_result(
        a_start(FORK),
        a_start(CRIU_CXL, 20.0),
        a_start(MOW_GHOST, phases_ns={"memory": 500_000}),
        footprint_mib=size,
        sharing=(Sharing(1, 1 << 20, 2 << 20),),
    )
    for size in (24, 256)
]


def test_cells_fill_the_columns() -> None:
    assert len(cells(rows(RESULTS)[0])) == len(COLUMNS)


def test_tables_show_every_start_and_the_phases_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_tables(rows(RESULTS), RESULTS)
    said = capsys.readouterr().out
    assert said.count("local fork") == said.count("CRIU, CXL files") == 2
    # Once among the starts, once among the phases.
    assert said.count("MoW, ghost") == 4
    assert "memory 0.25" in said


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw(rows(RESULTS), tmp_path / "fork.png")
    assert (tmp_path / "fork.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_has_figures_runs_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fork.environment", lambda release: {"guest": {"kernel": release}})
    monkeypatch.setattr("bench.fork.pool_copy.measure", lambda turns: [CopySpeed(1, 10, 9, 9)])
    found = Found([Measured(one, 1.0) for one in RESULTS], ["arithmetic-64: no"])
    tree = as_json("quick", plan("quick"), found)
    assert tree["figures"]["pool_copy_share_of_memcpy"] == pytest.approx(0.9)
    assert tree["figures"]["restore_speedup_over_criu"] == pytest.approx(20.0)
    assert [run["spec"]["footprint_mib"] for run in tree["runs"]] == [24, 256]
    assert tree["failures"] == ["arithmetic-64: no"]
    assert tree["environment"]["guest"]["dram"] == "4G"
