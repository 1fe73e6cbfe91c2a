"""Table cells, the picture and the demo's page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.campaign import Campaign
from bench.catalog import M5
from bench.demo import page, verdict
from bench.figures import Row
from bench.picture import draw
from bench.report import cells, columns
from bench.result_file import write_json
from bench.session import Measured
from tests.unit.bench.results import a_result

ROW = Row(
    workload="redis-b",
    policy="none",
    seeds=1,
    modelled_s=2.0,
    speedup_over_none=1.0,
    p50_us=10.0,
    p99_us=20.0,
    accuracy=None,
    dram_read_share=0.5,
    pages_up=0,
    pages_down=0,
    kernel_cpu_share=0.01,
    daemon_cpu_share=None,
)
ROWS = [
    ROW,
    replace(ROW, policy="numab", modelled_s=1.6, speedup_over_none=1.25),
    replace(ROW, policy="damon", modelled_s=0.8, speedup_over_none=2.5),
    replace(ROW, policy=M5, modelled_s=1.0, speedup_over_none=2.0, daemon_cpu_share=0.004),
]
MODEL = {"ps_per_instruction": 250, "tier0_latency_ps": 100000, "tier1_latency_ps": 250000}
ENVIRONMENT = {
    "commit": "abc",
    "qemu": "11.1",
    "guest_kernel": "7.3",
    "guest": {"dram": "320M", "cxl": "1G", "cpus": 1, "time": "icount"},
    "model": MODEL,
}


def test_what_was_not_measured_is_a_dash() -> None:
    shown = dict(zip(columns(probed=True), cells(ROW), strict=True))
    assert shown["accuracy"] == shown["daemon CPU"] == "-"
    assert shown["over none"] == "1.000x"


def test_the_verdict_says_where_m5_lost() -> None:
    said = verdict(ROWS)
    assert "100% faster than with no policy" in said
    assert "60% faster than with the kernel's tiering" in said
    assert "25% slower than with DAMON" in said


def test_without_m5_there_is_no_verdict() -> None:
    assert verdict(ROWS[:2]) == "M5 could not be measured."


def test_the_page_stands_alone_and_shows_every_row(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    draw(ROWS, "Redis", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = a_result(workload="redis-b", placement={"initial": {"0": 100, "1": 300}})
    text = page(ROWS, Campaign(measured=[Measured(result, 1.0)]), ENVIRONMENT, picture)
    assert "25% lie in DRAM" in text
    assert text.count("<tr") == 1 + len(ROWS)
    assert "data:image/png;base64," in text
    assert "http" not in text.replace("http-equiv", "")


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m5.json"
    write_json(path, {"figures": {}})
    assert path.read_text().endswith("}\n")
    assert [one.name for one in path.parent.iterdir()] == ["m5.json"]


@pytest.mark.parametrize("policy", ["numab", M5])
def test_cells_fill_the_columns(policy: str) -> None:
    assert len(cells(replace(ROW, policy=policy))) == len(columns(probed=False))
