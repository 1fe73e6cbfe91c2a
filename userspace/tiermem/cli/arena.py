"""`tiermem arena`: which memory this host's processes have taken as arenas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.shown import new_table, show
from tiermem.layer.arena.huge import huge_bytes
from tiermem.layer.arena.registry import Listed, list_arenas
from tiermem.layer.sysfs import read_text

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
    that ever was, `huge` how much is really in huge pages (?: this user may not ask).

    A tier called emulated is not there: copies in and out are held to the figures that are
    shown, and the memory is that of the nodes that are named.

    What processes that were killed left in the list is removed.
    """
    rows = [_row(listed) for listed in list_arenas()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("no arenas")
        return
    table = new_table(
        "pid", "program", "name", "memory", *("MiB", "used", "peak", "huge", "buffers")
    )
    for row in rows:
        sizes = (row[key] for key in ("bytes", "used_bytes", "peak_bytes", "huge_bytes"))
        words = (str(row["pid"]), row["program"], row["name"], row["where"])
        table.add_row(*words, *map(_mebibytes, sizes), str(row["buffers"]))
    show(table)


def _row(listed: Listed) -> dict[str, Any]:
    described = listed.description
    is_private = described.shared is None
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
        if is_private
        else 0,
        "emulated": described.emulated and described.emulated.model_dump(),
        "shared": described.shared and described.shared.model_dump(),
    }


def _mebibytes(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / 2**20:.1f}"
