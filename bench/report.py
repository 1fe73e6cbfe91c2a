"""The benchmark's table, JSON and picture."""

from __future__ import annotations

import platform
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from tiermem.testbed.progress import Progress
from tiermem.testbed.qemu import find_qemu

from bench.catalog import CXL, DRAM, POLICIES, WORKLOADS
from bench.figures import Row
from bench.result_file import CHECKOUT


def columns(*, probed: bool) -> tuple[str, ...]:
    """The table's headings. Without the probe, only the kernel's own threads are counted:
    hint faults and migrations in a program's context are not."""
    kernel = "kernel CPU" if probed else "kernel threads"
    return (
        *("policy", "modelled s", "over none", "p50 µs", "p99 µs", "accuracy"),
        *("DRAM reads", "up", "down", kernel, "daemon CPU"),
    )


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table shows it, under `columns`; a dash where nothing was measured."""
    return (
        POLICIES[row.policy].title,
        f"{row.modelled_s:.3f}",
        _text(row.speedup_over_none, "{:.3f}x"),
        _text(row.p50_us, "{:.1f}"),
        _text(row.p99_us, "{:.1f}"),
        _text(row.accuracy, "{:.2f}"),
        f"{row.dram_read_share:.0%}",
        str(row.pages_up),
        str(row.pages_down),
        _text(row.kernel_cpu_share, "{:.1%}"),
        _text(row.daemon_cpu_share, "{:.2%}"),
    )


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def print_table(rows: Sequence[Row], title: str, *, probed: bool) -> None:
    """The table on standard output, one section a workload."""
    table = Table(title=title, caption="Times are modelled time.")
    table.add_column("workload")
    for column in columns(probed=probed):
        table.add_column(column, justify="left" if column == "policy" else "right")
    before = ""
    for row in rows:
        if before and row.workload != before:
            table.add_section()
        name = WORKLOADS[row.workload].title if row.workload != before else ""
        before = row.workload
        table.add_row(name, *cells(row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=170)
    console.print(table)


def environment(kernel_release: str) -> dict[str, Any]:
    """Versions and parameters that a reader needs to repeat the runs."""
    commit = subprocess.run(
        ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
    )
    model = (CHECKOUT / "fpga_models/memsys/defaults.toml").read_text()
    return {
        "commit": commit.stdout.strip() or "unknown",
        "qemu": ".".join(map(str, find_qemu(Progress(quiet=True)).version)),
        "guest_kernel": kernel_release,
        "host_python": platform.python_version(),
        "guest": {"dram": DRAM, "cxl": CXL, "cpus": 1, "time": "icount, 1 ns an instruction"},
        "model": tomllib.loads(model),
    }


def rows_as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain data."""
    return [asdict(row) for row in rows]
