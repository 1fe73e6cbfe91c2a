"""`tiermem serving top`: a vLLM server's KV tiers, live."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tiermem.cli.daemon_options import JsonOption
from tiermem.errors import MissingError, TiermemError
from tiermem.serving.top import Activity, Figures, activity, metrics_url, read_figures, scrape


def top(
    server: Annotated[
        str, typer.Argument(help="The vLLM server, or its address at a proxy.")
    ] = "http://localhost:8000",
    *,
    interval: Annotated[
        float, typer.Option(min=0.2, help="Seconds between looks; rates are over it.")
    ] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, an interval apart, print, and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tiers, hits, restores and latencies of a vLLM server, live, from its /metrics.

    A server elsewhere:              tiermem serving top http://gpu7:8000 --interval 5

    For a script:                    tiermem serving top --once --json

    share is of all blocks that were looked for in the tiers; in and out are bytes that came
    into a tier and were read from it; evicted blocks made room for others; corrupted ones were
    found out, and computed again. A tier called emulated is not there: its copies are held to
    the figures that are shown. All of it counts from the server's start, but for rates.

    While the server is away this waits for it, and goes on when it is back. With --once that
    is an error: exit status 4 where nobody answers, 3 where the server has no KV tiers, 2 where
    it is no vLLM server. With --json alone there is one line for each interval.
    """
    url = metrics_url(server)
    if once:
        _show_once(url, server, interval, as_json)
        return
    try:
        if as_json:
            for seen in _watch(url, interval):
                print(_line(seen), flush=True)
        else:
            _show_live(url, server, interval)
    except KeyboardInterrupt:
        return


def _show_once(url: str, server: str, interval_s: float, as_json: bool) -> None:
    from tiermem.serving.top.view import NO_TIERS, render

    before = read_figures(scrape(url))
    if not before.has_tiers:
        raise MissingError(f"{url}: {NO_TIERS}")
    time.sleep(interval_s)
    seen = activity(read_figures(scrape(url)), before)
    if as_json:
        print(seen.model_dump_json(indent=2))
    else:
        Console().print(render(seen, server))


def _line(seen: Activity | TiermemError) -> str:
    return (
        seen.model_dump_json() if isinstance(seen, Activity) else json.dumps({"trouble": str(seen)})
    )


def _show_live(url: str, server: str, interval_s: float) -> None:
    from tiermem.serving.top.view import render

    shown: RenderableType = Text(f"{server}: looking")
    with Live(shown, console=Console(), auto_refresh=False) as live:
        live.refresh()
        for seen in _watch(url, interval_s):
            if isinstance(seen, Activity):
                shown = picture = render(seen, server)
            else:
                waits = Text(f"{seen}\nasking again every {interval_s:g} s", style="yellow")
                picture = Group(shown, waits)
            live.update(picture, refresh=True)


def _watch(url: str, interval_s: float) -> Iterator[Activity | TiermemError]:
    """Without end; the first one has no rates. Troubles are told, and outlived."""
    before: Figures | None = None
    while True:
        try:
            now = read_figures(scrape(url))
        except TiermemError as trouble:
            before = None
            yield trouble
        else:
            yield activity(now, before)
            before = now
        time.sleep(interval_s)
