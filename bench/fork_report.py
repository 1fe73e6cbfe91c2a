"""The tables of `bench.fork`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.fork_catalog import METHODS
from bench.fork_figures import Row
from bench.guest.fork_spec import ForkResult

COLUMNS = (
    *("way", "restore ms", "first call ms", "warm call ms"),
    *("own MiB", "warm", "shared MiB", "tables MiB"),
)
WIDTH = 150


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table shows it, under COLUMNS."""
    return (
        METHODS[row.method],
        f"{row.restore_ms:.2f}",
        f"{row.first_call_ms:.2f}",
        f"{row.warm_ms:.2f}",
        f"{row.own_first_mib:.1f}",
        f"{row.own_warm_mib:.1f}",
        f"{row.shared_mib:.1f}",
        f"{row.tables_mib:.2f}",
    )


def starts_table(rows: Sequence[Row]) -> Table:
    """All ways of starting, one section a function and footprint."""
    table = Table(title="Starting a warm function once more", caption="Times are modelled time.")
    table.add_column("function")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    before = ""
    for row in rows:
        name = f"{row.function}, {row.footprint_mib} MiB"
        if before and name != before:
            table.add_section()
        table.add_row(name if name != before else "", *cells(row))
        before = name
    return table


def phases_table(rows: Sequence[Row]) -> Table:
    """Where the time of each restore went; ways of which nobody measured phases are left out."""
    table = Table(title="Restore, by phase", caption="Modelled ms, by share of the guest's time.")
    for column in ("function", "way", "phases"):
        table.add_column(column)
    for row in rows:
        if len(row.phases_ms) > 1:
            said = ", ".join(f"{name} {ms:.2f}" for name, ms in row.phases_ms.items())
            table.add_row(f"{row.function}, {row.footprint_mib} MiB", METHODS[row.method], said)
    return table


def sharing_table(results: Sequence[ForkResult]) -> Table:
    """What clones take together, under MoW."""
    table = Table(title="Clones of one image, MoW")
    for column in ("function", "clones", "pool MiB", "own MiB, all clones", "DRAM MiB"):
        table.add_column(column, justify="left" if column == "function" else "right")
    for result in results:
        for one in result.sharing:
            sizes = (one.pool_bytes, one.own_bytes, one.dram_used_bytes)
            table.add_row(
                f"{result.spec.function}, {result.spec.footprint_mib} MiB",
                str(one.clones),
                *(f"{size / 2**20:.1f}" for size in sizes),
            )
    return table


def print_tables(rows: Sequence[Row], results: Sequence[ForkResult]) -> None:
    """All of them on standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for table in (starts_table(rows), phases_table(rows), sharing_table(results)):
        console.print(table)
