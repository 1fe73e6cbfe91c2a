"""`tiermem pool`: make a pool of shared memory, look into it, keep it in order."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.shown import bytes_bar, new_console, new_table, show
from tiermem.errors import ConfigError, DamagedError
from tiermem.layer.pool import Entry, Pool, create_pool, open_pool
from tiermem.layer.pool.create import DEFAULT_ENTRIES, DEFAULT_HOSTS
from tiermem.layer.pool.leases import LEASE_S
from tiermem.service.size import size_bytes

app = typer.Typer(add_completion=False, no_args_is_help=True)

PoolPath = Annotated[
    Path, typer.Argument(help="The pool: a devdax device (/dev/dax0.0) or a file.")
]
HostNumber = Annotated[
    int,
    typer.Option("--host", envvar="TIERMEM_POOL_HOST", help="This host's number in the pool."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def parse_size(text: str) -> int:
    """Bytes of "512M", "8G", "4096". ConfigError says what is allowed."""
    try:
        return size_bytes(text)
    except ValueError as error:
        raise ConfigError(f"size {text!r}: {error}") from None


@app.command()
def create(
    pool: PoolPath,
    *,
    size: Annotated[
        str | None, typer.Option(help="Of the file to be made: 512M, 8G. Not for a device.")
    ] = None,
    hosts: Annotated[
        int, typer.Option(help="How many hosts may use it; each gets an equal share.")
    ] = DEFAULT_HOSTS,
    entries: Annotated[
        int, typer.Option(help="Extents that each host may publish at a time.")
    ] = DEFAULT_ENTRIES,
    lease: Annotated[
        float, typer.Option(help="Seconds of silence after which a host is dead for the others.")
    ] = LEASE_S,
    force: Annotated[
        bool, typer.Option("--force", help="Even over a pool that is there: all in it is lost.")
    ] = False,
) -> None:
    """Make a pool. Once, on one host, before any opens it."""
    wanted = None if size is None else parse_size(size)
    uuid = create_pool(pool, hosts=hosts, entries=entries, size=wanted, lease_s=lease, force=force)
    print(f"{pool}: pool {uuid} for {hosts} hosts")


@app.command("ls")
def list_extents(
    pool: PoolPath,
    everything: Annotated[
        bool, typer.Option("--all", help="Drafts and removed extents that still take space, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the extents of all hosts."""
    with open_pool(pool) as opened:
        entries = opened.entries(unfinished=everything)
        names = {word.number: word.name for word in opened.directory.host_words()}
        if as_json:
            print(json.dumps([_entry_json(one) for one in entries], indent=2))
            return
        table = new_table("name", "host", "state", "bytes", "offset", "checksum", "created")
        for one in entries:
            state = "damaged" if one.is_damaged else one.state.name.lower()
            created = datetime.fromtimestamp(one.created_ns / 1e9, UTC)
            host = f"{one.extent.host} {names[one.extent.host]}".strip()
            checksum = "area" if one.is_area else f"{one.checksum:08x}"
            numbers = (str(one.bytes), f"{one.offset:#x}", checksum)
            table.add_row(one.name, host, state, *numbers, f"{created:%Y-%m-%d %H:%M:%S}")
        show(table if entries else "no extents")


def _entry_json(one: Entry) -> dict[str, Any]:
    return {
        "name": one.name,
        "host": one.extent.host,
        "generation": one.extent.generation,
        "state": "damaged" if one.is_damaged else one.state.name.lower(),
        "bytes": one.bytes,
        "offset": one.offset,
        "checksum": None if one.is_area else one.checksum,
        "is_area": one.is_area,
        "kind": one.kind,
        "created_ns": one.created_ns,
    }


@app.command()
def stat(pool: PoolPath, as_json: AsJson = False) -> None:
    """Show the pool, its hosts, and how full their shares are. Looks for a second who lives."""
    with open_pool(pool) as opened:
        opened.watch.look()
        time.sleep(1.5)
        states = opened.watch.look()
        used = [0] * opened.directory.shape.hosts
        in_areas = [0] * opened.directory.shape.hosts
        for one in opened.entries(unfinished=True):
            used[one.extent.host] += one.bytes
            in_areas[one.extent.host] += one.bytes if one.is_area else 0
        shape = opened.directory.shape
        rows = [
            {
                "host": state.word.number,
                "name": state.word.name,
                "state": state.in_words,
                "used_bytes": used[state.word.number],
                "area_bytes": in_areas[state.word.number],
                "share_bytes": shape.share_bytes,
            }
            for state in states
        ]
        if as_json:
            found = {"uuid": str(shape.uuid), "bytes": shape.bytes, "lease_s": shape.lease_s}
            print(json.dumps({**found, "hosts": rows}))
            return
        columns = ("host", "name", "state", "used MiB", "of that areas", "share MiB")
        table = new_table(*columns, title=f"pool {shape.uuid}, lease {shape.lease_s:g} s")
        for row, one_used, one_areas in zip(rows, used, in_areas, strict=True):
            sizes = (one_used / 2**20, one_areas / 2**20, shape.share_bytes / 2**20)
            words = (str(row["host"]), str(row["name"]), str(row["state"]))
            table.add_row(*words, *(f"{size:.1f}" for size in sizes))
        show(table)


@app.command()
def verify(pool: PoolPath, host: HostNumber = 0) -> None:
    """Check every extent against its checksum; exit status 5 where one is damaged.

    Of areas, which hosts go on writing to, the directory's entry.
    """
    with open_pool(pool, host) as opened:
        entries = opened.entries()
        damaged = 0
        with bytes_bar("{task.description}") as bar:
            task = bar.add_task("verifying", total=sum(one.bytes for one in entries))
            for one in entries:
                bar.update(task, description=one.name)
                try:
                    _verify(opened, one)
                except DamagedError as error:
                    damaged += 1
                    print(error, file=sys.stderr)
                bar.advance(task, one.bytes)
    areas = sum(one.is_area for one in entries)
    changing = f"; {areas} of them areas, whose bytes change" if areas else ""
    print(f"{len(entries)} extents, {damaged} damaged{changing}")
    if damaged:
        raise typer.Exit(DamagedError.exit_code)


def _verify(opened: Pool, entry: Entry) -> None:
    if entry.is_damaged:
        where = f"entry {entry.extent.entry} of host {entry.extent.host}"
        raise DamagedError(f"{opened.path}: {where} is damaged")
    if not entry.is_area:
        with opened.open(entry.name):
            pass


@app.command()
def gc(
    pool: PoolPath,
    host: HostNumber = 0,
    lease: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds of silence after which a host is dead; without it, the pool's own. With "
            "less, what a living host that was late holds is given away: know who is down.",
        ),
    ] = None,
) -> None:
    """Give back what nobody needs: removed extents, and what dead processes and hosts held.

    Watches the other hosts for the length of a lease first.
    """
    with open_pool(pool, host) as opened:
        if lease is not None:
            opened.watch.lease_s = lease
        silence_s = opened.watch.lease_s
        opened.watch.look()
        with new_console(stderr=True).status(f"watching the other hosts for {silence_s:g} s"):
            time.sleep(silence_s)
        dead = sorted(opened.watch.dead())
        freed = opened.collect()
    silent = f"; dead hosts: {', '.join(map(str, dead))}" if dead else ""
    print(f"{freed} extents given back{silent}")


@app.command()
def put(
    pool: PoolPath,
    name: Annotated[str, typer.Argument(help="The extent's name.")],
    file: Annotated[Path, typer.Argument(help="What to put in.", exists=True, dir_okay=False)],
    host: HostNumber = 0,
) -> None:
    """Publish a file's content."""
    with open_pool(pool, host) as opened:
        entry = opened.publish(name, file.read_bytes())
    print(f"{name}: {entry.bytes} bytes, checksum {entry.checksum:08x}")


@app.command()
def get(
    pool: PoolPath,
    name: Annotated[str, typer.Argument(help="The extent's name.")],
    host: HostNumber = 0,
) -> None:
    """Write an extent's bytes to standard output, once they are verified."""
    with open_pool(pool, host) as opened, opened.open(name) as extent:
        sys.stdout.buffer.write(extent.view())
        sys.stdout.buffer.flush()


@app.command()
def rm(
    pool: PoolPath,
    names: Annotated[list[str], typer.Argument(help="Extents, of whichever host.")],
    host: HostNumber = 0,
) -> None:
    """Remove extents; their space comes back by `gc`, once nobody holds them."""
    with open_pool(pool, host) as opened:
        for name in names:
            opened.remove(name)
