"""`make demo`: a Redis under four policies, a table, a picture and one HTML page.

The same runs as in `bench.m5`, one workload, one seed; what it shows is
written to bench/out/demo.{json,png,html}.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from tiermem.errors import TiermemError
from tiermem.testbed.progress import Progress

from bench import catalog
from bench.campaign import Campaign, default_guests, run_all
from bench.figures import Row, figures
from bench.m5 import WORK, run_as_json, summarise
from bench.programs import build_programs
from bench.report import cells, columns, environment, print_table, rows_as_json
from bench.result_file import OUT, write_json

WORKLOAD = "redis-b"
POLICIES = ("none", "numab", "damon", catalog.M5)
PAGE_BYTES = 4096
TEMPLATES = Path(__file__).parent / "templates"


def verdict(rows: Sequence[Row]) -> str:
    """One sentence with what M5 did against each of the others; honest where it lost."""
    times = {row.policy: row.modelled_s for row in rows}
    mine = times.get(catalog.M5)
    if mine is None:
        return "M5 could not be measured."
    said = []
    for policy, title in (
        ("none", "no policy"),
        ("numab", "the kernel's tiering"),
        ("damon", "DAMON"),
    ):
        if policy in times:
            ratio = times[policy] / mine
            word = "faster" if ratio >= 1 else "slower"
            percent = 100 * (ratio - 1 if ratio >= 1 else 1 / ratio - 1)
            said.append(f"{percent:.0f}% {word} than with {title}")
    return f"With M5 the same requests were served {', '.join(said)}."


def page(rows: Sequence[Row], campaign: Campaign, about: dict[str, Any], picture: Path) -> str:
    """The report as one self-contained HTML page."""
    workload = catalog.WORKLOADS[WORKLOAD]
    records = next(word for word in workload.program if word.startswith("records="))
    initial = campaign.measured[0].result.placement["initial"]
    pages = sum(initial.values())
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages_of = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return pages_of.get_template("demo.html.j2").render(
        workload=workload,
        records=records.partition("=")[2],
        footprint_MiB=pages * PAGE_BYTES >> 20,
        initial_dram_percent=round(100 * initial.get("0", 0) / pages),
        environment=about,
        verdict=verdict(rows),
        columns=columns(probed=False),
        lines=[{"cells": cells(row), "ours": row.policy == catalog.M5} for row in rows],
        picture=base64.b64encode(picture.read_bytes()).decode(),
    )


def demo() -> int:
    """Run and report; the exit status."""
    from bench.picture import draw  # matplotlib takes a second to import

    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    build_programs(WORK, Progress())
    workload = catalog.WORKLOADS[WORKLOAD]
    specs = [catalog.run_spec(workload, catalog.POLICIES[policy], 1, "demo") for policy in POLICIES]
    campaign = run_all(specs, WORK, default_guests())
    for failure in campaign.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    if not campaign.measured:
        return 1
    rows = summarise(campaign.measured)
    about = environment(campaign.kernel_release)
    tree = {
        "benchmark": "demo",
        "time": "modelled",
        "figures": figures(rows),
        "environment": about,
        "wall_s": round(time.monotonic() - begin),
        "failures": campaign.failures,
        "rows": rows_as_json(rows),
        "runs": [run_as_json(one) for one in campaign.measured],
    }
    write_json(OUT / "demo.json", tree)
    draw(rows, "Redis on DRAM and CXL memory", OUT / "demo.png")
    (OUT / "demo.html").write_text(page(rows, campaign, about, OUT / "demo.png"))
    print_table(rows, "Redis on DRAM and CXL memory", probed=False)
    console = Console(highlight=False)
    console.print(verdict(rows))
    console.print("bench/out/demo.html, bench/out/demo.png, bench/out/demo.json")
    return 1 if campaign.failures else 0


def main() -> None:
    """Entry point; a TiermemError becomes one line."""
    try:
        status = demo()
    except TiermemError as error:
        sys.exit(f"bench.demo: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
