"""`tiermem m5`: page tiering, as a daemon that can be looked at and steered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from tiermem.cli.shown import new_console, show
from tiermem.errors import ConfigError
from tiermem.m5.settable import SETTABLE
from tiermem.service.client import LocalClient
from tiermem.service.socket_file import socket_path

if TYPE_CHECKING:
    from tiermem.m5.settings import M5Settings

CONFIG = Path("/etc/tiermem/m5.toml")
SOCKET = socket_path("m5")

app = typer.Typer(help="Page tiering: run the daemon, look at it, steer it.", no_args_is_help=True)

SocketOption = Annotated[Path | None, socket_option(CONFIG, SOCKET)]


@app.command()
def run(
    *,
    config: ConfigOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Decide and report; move nothing, leave the kernel's switches."
        ),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Make just enough rounds to judge, print them, end.")
    ] = False,
    changes: SetOption = None,
) -> None:
    """Move hot pages from slow to fast memory until stopped.

    Try first what it would do:      tiermem m5 run --dry-run --once

    Without a tracker device:        tiermem m5 run --set tracker.kind=damon

    Only one service's pages:        tiermem m5 run --set scope.cgroup=system.slice/redis.service

    Look at it meanwhile:            tiermem m5 top

    SIGTERM or Ctrl-C ends it and gives back every kernel switch that it set
    (kernel.keep_at_exit = true keeps them). SIGHUP reads the config again.
    Needs root. `tiermem doctor` says what this host lacks; m5.toml in etc/
    explains every key.
    """
    # Loaded here: numpy and the service's server take a second on a slow machine.
    from tiermem.m5.settings import M5Settings

    path = find_config(config, CONFIG)

    def read_settings() -> M5Settings:
        settings = settings_of(path, changes or [], M5Settings)
        return settings.model_copy(update={"dry_run": True}) if dry_run else settings

    settings = read_settings()
    log_to_stderr(settings.log_level)
    with _naming_the_source(path, changes or []):
        if once:
            from tiermem.m5.try_once import try_once

            _show_status(try_once(settings), [])
            return
        from tiermem.m5.serve import serve

        serve(read_settings)


@app.command()
def status(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """What the daemon sees and does: tiers, moves, refusals, troubles."""
    answer = LocalClient(_socket(socket)).get("/v1/status")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
    else:
        _show_status(answer, [])


@app.command()
def top(
    *,
    socket: SocketOption = None,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between updates.")] = 2.0,
    count: Annotated[int, typer.Option(min=0, help="Updates to show; 0: until Ctrl-C.")] = 0,
) -> None:
    """The same, live, with hot pages by process (looking costs the daemon some CPU time).

    Every half second:               tiermem m5 top --interval 0.5

    Once, for a log:                 tiermem m5 top --count 1
    """
    from rich.live import Live

    from tiermem.m5.top_view import render

    client = LocalClient(_socket(socket))
    shown = 0
    with Live(console=new_console(), auto_refresh=False) as live:
        try:
            while True:
                live.update(render(client.get("/v1/status"), client.get("/v1/hot")), refresh=True)
                shown += 1
                if shown == count:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            return


@app.command()
def explain(
    pid: Annotated[int, typer.Argument(min=1, help="The process.")],
    *,
    socket: SocketOption = None,
    wait: Annotated[
        float, typer.Option(min=0, max=8, help="Seconds of rounds to watch first.")
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Where a process' memory lies, and why its last pages moved or did not.

    One process:                     tiermem m5 explain $(pidof redis-server)

    After five seconds of watching:  tiermem m5 explain 4711 --wait 5
    """
    client = LocalClient(_socket(socket), timeout_s=wait + 10)
    answer = client.get("/v1/explain", {"pid": str(pid), "wait_s": str(wait)})
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    from tiermem.m5.top_view import render_explanation

    show(render_explanation(answer))


@app.command("set")
def set_key(
    key: Annotated[
        str,
        typer.Argument(help=f"A key as in m5.toml: one of, or one below: {', '.join(SETTABLE)}."),
    ],
    value: Annotated[str, typer.Argument(help="Its new value, written as in TOML.")],
    *,
    socket: SocketOption = None,
) -> None:
    """Change a setting of the running daemon; it is checked as the config is, and not saved.

    Move less:                       tiermem m5 set promoter.rate_limit_MBps 50

    One service's pages only:        tiermem m5 set scope.cgroup system.slice/redis.service
    """
    answer: Any = LocalClient(_socket(socket)).post("/v1/set", {"key": key, "value": value})
    for part in key.split("."):
        answer = answer[part]
    typer.echo(f"{key} = {json.dumps(answer)}")


@contextmanager
def _naming_the_source(path: Path | None, changes: list[str]) -> Iterator[None]:
    """A key that proves wrong only on this host: say which file, or --set, it came from."""
    try:
        yield
    except ConfigError as error:
        said = str(error)
        key = said.split(" ", 1)[0].rstrip(":")
        names = [change.partition("=")[0] for change in changes]
        if any(f"{name}.".startswith(f"{key}.") for name in names):
            raise ConfigError(f"set: {said}") from error
        raise ConfigError(f"{path}: {said}" if path else said) from error


def _socket(given: Path | None) -> Path:
    return find_socket(given, CONFIG, SOCKET)


def _show_status(answer: dict[str, Any], hot: list[dict[str, Any]]) -> None:
    from tiermem.m5.top_view import render

    show(render(answer, hot))
