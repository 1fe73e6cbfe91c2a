"""`tiermem arena`: which memory this host's processes have taken as arenas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.shown import new_table, show
from tiermem.errors import TiermemError
from tiermem.layer.arena.hotness import HotFrames, hot_pages
from tiermem.layer.arena.huge import huge_bytes
from tiermem.layer.arena.registry import Listed, list_arenas
from tiermem.layer.sysfs import read_text
from tiermem.m5.hot_frames import read_hot_frames

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="""Memory of a chosen tier that processes hold for themselves.

    A program makes an arena with tiermem.layer.arena.create_arena(name, bytes, tier=...): so
    many bytes of that tier, all of them taken at once, which it hands out as buffers. LLM
    serving keeps its KV cache in them. Here they are seen from outside.""",
)
app.callback()(lambda: None)


@app.command("ls")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the arenas of this host's living processes.

    Root sees those of all users, others their own. `used` is in buffers now, `peak` the most
    that ever was, `huge` how much is really in huge pages (?: this user may not ask, or it is
    shared), `hot` how much M5's daemon held for hot in its last round; it tracks the slow tier
    (-: none answers this user).

    A tier called emulated is not there: copies in and out are held to the figures that are
    shown, and the memory is that of the nodes that are named.

    What processes that were killed left in the list is removed.
    """
    arenas = list_arenas()
    frames = _hot_frames() if arenas else None
    rows = [_row(listed, frames) for listed in arenas]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("no arenas")
        return
    table = new_table(
        "pid", "program", "name", "memory", *("MiB", "used", "peak", "huge", "hot", "buffers")
    )
    for row in rows:
        sizes = (row[key] for key in ("bytes", "used_bytes", "peak_bytes", "huge_bytes"))
        words = (str(row["pid"]), row["program"], row["name"], row["where"])
        hot = _mebibytes(row["hot_bytes"]) if frames else "-"
        table.add_row(*words, *map(_mebibytes, sizes), hot, str(row["buffers"]))
    show(table)


def _hot_frames() -> HotFrames | None:
    """None also where a daemon is in trouble: its own verbs say so."""
    try:
        return read_hot_frames()
    except TiermemError:
        return None


def _row(listed: Listed, frames: HotFrames | None) -> dict[str, Any]:
    described = listed.description
    return {
        "pid": listed.pid,
        "program": read_text(Path(f"/proc/{listed.pid}/comm")) or "?",
        "name": described.name,
        "where": described.where,
        "tier": described.tier,
        "tiers": described.tiers,
        "nodes": list(described.nodes),
        "bytes": described.bytes,
        **listed.usage.model_dump(),
        "huge_bytes": huge_bytes(listed.pid, described.address, described.bytes)
        if described.shared is None
        else None,
        "hot_bytes": frames and _hot_bytes(listed, frames),
        "emulated": described.emulated and described.emulated.model_dump(),
        "shared": described.shared and described.shared.model_dump(),
    }


def _hot_bytes(listed: Listed, frames: HotFrames) -> int | None:
    """None where this user may not ask, or the process has ended."""
    described = listed.description
    try:
        return hot_pages(described.address, described.bytes, frames, listed.pid).bytes
    except TiermemError:
        return None


def _mebibytes(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / 2**20:.1f}"
