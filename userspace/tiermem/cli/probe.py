"""`tiermem probe`: ask the kernel one of the questions in ebpf/ and print the answer."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Annotated, Any

import typer

from tiermem.cli.shown import new_table, show
from tiermem.errors import ConfigError
from tiermem.probes import QUESTIONS, Probe
from tiermem.probes.table import Table

app = typer.Typer(help="Ask the kernel about migrations, faults and tiering CPU time (eBPF).")


@app.command()
def probe(
    name: Annotated[
        str | None, typer.Argument(help="Which probe; --list shows them.", show_default=False)
    ] = None,
    *,
    duration: Annotated[
        float | None,
        typer.Option("--duration", "-d", min=0, help="Seconds to watch; without it, until Ctrl-C."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.01, help="Seconds between JSON lines.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object an interval instead of a table.")
    ] = False,
    apart: Annotated[
        list[int] | None,
        typer.Option(help="kernel-cpu: a process to show in a row of its own. May be repeated."),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the probes there are.")] = False,
) -> None:
    """Attach probe NAME, watch for a while, print what happened meanwhile."""
    if listing:
        _print_table(Table("Probes", ("name", "question"), _questions()))
        return
    if name is None:
        raise ConfigError(f"which probe? allowed is one of {', '.join(QUESTIONS)}")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Probe(name) as loaded:
        if apart:
            loaded.set_apart(apart)
        _tell_attached(loaded)
        if as_json:
            _stream(loaded, stop, duration, interval)
        else:
            before = loaded.read()
            stop.wait(duration)
            for table in loaded.read().minus(before).tables():
                _print_table(table)


def _stream(
    loaded: Probe[Any], stop: threading.Event, duration: float | None, interval: float
) -> None:
    """A line at the end of each interval, with what was counted in it."""
    started = time.monotonic()
    before, since = loaded.read(), started
    while not stop.is_set():
        left = interval if duration is None else min(interval, started + duration - since)
        if left <= 0:
            return
        stop.wait(left)
        after, now = loaded.read(), time.monotonic()
        line = {"probe": loaded.name, "time": time.time(), "seconds": round(now - since, 6)}
        print(json.dumps({**line, **after.minus(before).as_dict()}), flush=True)
        before, since = after, now


def _tell_attached(loaded: Probe[Any]) -> None:
    hooks = ", ".join(f"{hook.kind} {hook.target}" for hook in loaded.attached)
    print(f"attached: {hooks}", file=sys.stderr)
    if loaded.missing:
        print(f"not seen on this kernel: {', '.join(loaded.missing)}", file=sys.stderr)


def _questions() -> tuple[tuple[str, str], ...]:
    return tuple((question.name, question.asks) for question in QUESTIONS.values())


def _print_table(table: Table) -> None:
    shown = new_table(title=table.title, title_justify="left")
    for column in table.columns:
        shown.add_column(column)
    for row in table.rows:
        shown.add_row(*row)
    show(shown)
