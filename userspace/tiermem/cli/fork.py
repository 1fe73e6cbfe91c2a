"""`tiermem fork`: checkpoint a process into the pool, restore it on any host of the pod."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.daemon_options import (
    ConfigOption,
    JsonOption,
    SetOption,
    find_config,
    find_socket,
    log_to_stderr,
    settings_of,
    socket_option,
)
from tiermem.cli.shown import bytes_bar, new_table, show
from tiermem.errors import ConfigError, TiermemError
from tiermem.service.client import LocalClient

CONFIG = Path("/etc/tiermem/fork.toml")
SOCKET = Path("/run/tiermem/fork.sock")
PAGE_BYTES = 4096
_LOOK_S = 0.2

app = typer.Typer(
    help="Remote fork: checkpoint a process into the pool, restore it on any host of the pod.",
    no_args_is_help=True,
)

SocketOption = Annotated[Path | None, socket_option(CONFIG, SOCKET)]
NameArgument = Annotated[str, typer.Argument(help="The image's name.")]


@app.command()
def run(
    *,
    config: ConfigOption = None,
    changes: SetOption = None,
) -> None:
    """Run the daemon (cxlforkd) until SIGTERM or Ctrl-C.

    On host 1 of a pod:              tiermem fork run --set host=1

    Over a file, on one plain host:  tiermem fork run --set pool=/var/lib/tiermem/pool

    Needs root, and a pool (`tiermem pool create`). Processes that it restored go on when
    it ends, and are found again by the next one.
    """
    from tiermem.cxlfork.serve import serve
    from tiermem.cxlfork.settings import ForkSettings

    path = find_config(config, CONFIG)
    settings = settings_of(path, changes or [], ForkSettings)
    log_to_stderr(settings.log_level)
    serve(settings)


@app.command()
def checkpoint(
    pid: Annotated[int, typer.Argument(min=1, help="The process; it goes on afterwards.")],
    *,
    name: Annotated[str, typer.Option("--name", "-n", help="What to call the image.")],
    close_sockets: Annotated[
        bool,
        typer.Option("--close-sockets", help="Leave sockets out, but for those of --relisten."),
    ] = False,
    relisten: Annotated[
        bool, typer.Option("--relisten", help="Listen anew on listening sockets when restored.")
    ] = False,
    close_fd: Annotated[
        list[int] | None, typer.Option(help="Leave this descriptor out. Repeatable.")
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a process into an image in the pool.

    What cannot be taken along is refused with its descriptor's number, unless one of the
    options above says what to do about it.

    A warm function:                 tiermem fork checkpoint 4711 --name resize
    """
    client = LocalClient(_socket(socket), timeout_s=3600)
    body = {
        "pid": pid,
        "name": name,
        "close_sockets": close_sockets,
        "relisten": relisten,
        "close_fds": close_fd or [],
    }
    with _showing_progress(client, name):
        answer = client.post("/v1/checkpoint", body)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    size_mib = answer["image_bytes"] / 2**20
    typer.echo(
        f"{name}: {size_mib:.1f} MiB; process {pid} stood still for "
        f"{answer['stopped_ns'] / 1e6:.1f} ms"
    )


@app.command()
def restore(
    name: NameArgument,
    *,
    policy: Annotated[
        str | None,
        typer.Option(help="mow, moa or ht; without it the daemon's own.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many processes.")] = 1,
    memory_mib: Annotated[
        int | None,
        typer.Option(min=1, help="The most memory that each may take.", show_default=False),
    ] = None,
    cpus: Annotated[
        float | None,
        typer.Option(min=0.01, help="The most CPU time, e.g. 0.5.", show_default=False),
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Wait for it, and end with its exit status.")
    ] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore processes from an image; prints their pids.

    mow: pages are shared in CXL memory until they are written to (least local memory).
    moa: each page is copied at its first touch. ht: as mow, but pages that were in use
    are copied ahead (fastest when warm).

    Where its 0, 1 and 2 were a terminal's or went to other processes, it gets ours with
    --attach, and /dev/null without.

    Ten clones:                      tiermem fork restore resize --count 10
    """
    if attach and count > 1:
        raise ConfigError(f"--attach --count {count}: only one process can be waited for")
    client = LocalClient(_socket(socket), timeout_s=3600)
    body: dict[str, Any] = {"name": name, "count": count}
    given = {"policy": policy, "memory_MiB": memory_mib, "cpus": cpus}
    body |= {key: value for key, value in given.items() if value is not None}
    if attach:
        body["stdio_of"] = os.getpid()
    clones = client.post("/v1/restore", body)
    if attach:
        sys.exit(_follow(client, clones[0]["pid"]))
    if as_json:
        typer.echo(json.dumps(clones, indent=1))
        return
    for one in clones:
        typer.echo(f"{one['pid']}  restored in {sum(one['phases_ns'].values()) / 1e6:.2f} ms")


def _follow(client: LocalClient, pid: int) -> int:
    """Pass signals on until it ends; its exit status."""

    def pass_on(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, pass_on)
    status = int(client.get("/v1/wait", {"pid": str(pid)})["status"])
    return status if status >= 0 else 128 - status


@app.command("ls")
def list_images(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """The images of the pool."""
    images = LocalClient(_socket(socket)).get("/v1/images")
    if as_json:
        typer.echo(json.dumps(images, indent=1))
        return
    table = new_table(
        "image", "of host", "command", "MiB", "pages MiB", "threads", "state", "taken"
    )
    for one in images:
        taken = datetime.fromtimestamp(one["created_ns"] / 1e9, UTC)
        stored = "" if one["data_bytes"] is None else f"{one['data_bytes'] / 2**20:.1f}"
        sizes = (f"{one['bytes'] / 2**20:.1f}", stored)
        words = (one["name"], str(one["host"]), one["command"] or "")
        table.add_row(
            *words, *sizes, str(one["threads"] or ""), one["state"], f"{taken:%Y-%m-%d %H:%M:%S}"
        )
    show(table if images else "no images")


@app.command("ps")
def list_clones(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """The processes that were restored on this host and run."""
    clones = LocalClient(_socket(socket)).get("/v1/clones")
    if as_json:
        typer.echo(json.dumps(clones, indent=1))
        return
    table = new_table("pid", "image", "policy", "restored at", "in ms", "memory MiB")
    for one in clones:
        started = datetime.fromtimestamp(one["started_ns"] / 1e9, UTC)
        took = one["phases_ns"]
        took_ms = "" if took is None else f"{sum(took.values()) / 1e6:.2f}"
        memory = one["memory_bytes"]
        memory_mib = "" if memory is None else f"{memory / 2**20:.1f}"
        words = (str(one["pid"]), one["image"], one["policy"])
        table.add_row(*words, f"{started:%Y-%m-%d %H:%M:%S}", took_ms, memory_mib)
    show(table if clones else "no restored processes")


@app.command()
def inspect(
    name: NameArgument, *, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """What is in an image: threads, memory by kind, descriptors, what a host must have."""
    answer = LocalClient(_socket(socket), timeout_s=3600).get("/v1/image", {"name": name})
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    from tiermem.cxlfork.inspect_view import render

    show(render(answer))


@app.command("rm")
def remove(name: NameArgument, *, socket: SocketOption = None) -> None:
    """Remove an image; processes restored from it go on."""
    LocalClient(_socket(socket)).post("/v1/remove", {"name": name})


@app.command()
def end(
    pid: Annotated[int, typer.Argument(min=1, help="A restored process (`tiermem fork ps`).")],
    *,
    socket: SocketOption = None,
) -> None:
    """Kill a restored process and all that it started."""
    LocalClient(_socket(socket)).post("/v1/end", {"pid": pid})


@app.command()
def status(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """What the daemon has and did."""
    answer = LocalClient(_socket(socket)).get("/v1/status")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    table = new_table(show_header=False)
    totals = answer.pop("totals")
    for key, value in {**answer, **totals}.items():
        table.add_row(key.replace("_", " "), str(value))
    show(table)


@contextmanager
def _showing_progress(client: LocalClient, name: str) -> Iterator[None]:
    """A bar while a checkpoint copies; nothing where it is done before one could be read."""
    done = threading.Event()
    bar = bytes_bar("copying", transient=True)
    task = bar.add_task("copying", total=None)

    def follow() -> None:
        while not done.wait(_LOOK_S):
            try:
                progress = client.get("/v1/progress", {"name": name})
            except TiermemError:
                continue  # the request itself will say what is wrong
            if progress is not None and progress["pages"]:
                copied, total = progress["done_pages"], progress["pages"]
                bar.update(task, total=total * PAGE_BYTES, completed=copied * PAGE_BYTES)

    with bar:
        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()


def _socket(given: Path | None) -> Path:
    return find_socket(given, CONFIG, SOCKET)
