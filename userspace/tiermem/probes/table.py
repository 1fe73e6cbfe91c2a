"""What a snapshot shows to people: titled tables of plain cells.

Snapshots say what the rows are; who prints them (the command line, a report)
says how they look.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.probes.histogram import Histogram

HISTOGRAM_COLUMNS = ("mean us", "p50 us", "p99 us")


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def microseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e3:,.1f}"


def milliseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:,.2f}"


def histogram_cells(histogram: Histogram) -> tuple[str, ...]:
    """The cells under HISTOGRAM_COLUMNS."""
    figures = (histogram.mean_ns, histogram.quantile_ns(0.5), histogram.quantile_ns(0.99))
    return tuple(microseconds(figure) for figure in figures)


def histogram_table(title: str, histogram: Histogram) -> Table:
    """One row a power of two, from the first filled slot to the last."""
    filled = [i for i in range(len(histogram.slots)) if histogram.slots[i]]
    slots = range(filled[0], filled[-1] + 1) if filled else range(0)
    most = max((int(histogram.slots[i]) for i in slots), default=1)
    rows = tuple(
        (
            microseconds(0 if i == 0 else 2**i),
            microseconds(2 ** (i + 1)),
            f"{int(histogram.slots[i]):,}",
            "#" * round(40 * int(histogram.slots[i]) / most),
        )
        for i in slots
    )
    return Table(title, ("from us", "to us", "count", ""), rows)
