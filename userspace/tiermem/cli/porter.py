"""`tiermem porter`: functions as a service, restored from images instead of started cold."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.daemon_options import (
    ConfigOption,
    SetOption,
    find_config,
    log_to_stderr,
    settings_of,
)
from tiermem.cli.shown import new_table, show
from tiermem.errors import ConfigError, MissingError, TiermemError

CONFIG = Path("/etc/tiermem/porter.toml")
URL = "http://127.0.0.1:8470"

app = typer.Typer(
    help="Functions as a service, restored from images instead of started cold.",
    no_args_is_help=True,
)

UrlOption = Annotated[str, typer.Option(envvar="TIERMEM_PORTER", help="Where the porter listens.")]


@app.command()
def run(
    *,
    config: ConfigOption = None,
    changes: SetOption = None,
    functions: Annotated[
        list[str] | None,
        typer.Option(
            "--function",
            metavar="NAME=FILE",
            help="Serve this Python file's handle(event), too. Repeatable.",
        ),
    ] = None,
) -> None:
    """Serve functions until SIGTERM or Ctrl-C: those of the config and of --function.

    One function, to try it:         tiermem porter run --function resize=resize.py

    Without images, to compare:      tiermem porter run --set start=cold

    cxlforkd must run on this host (`tiermem fork run`), unless start = "cold".
    """
    from tiermem.cxlfork.porter.functions import PorterSettings
    from tiermem.cxlfork.porter.service import Porter
    from tiermem.service.config import validate
    from tiermem.service.lifecycle import run_until_signalled
    from tiermem.service.notify import Notifier

    path = find_config(config, CONFIG)
    settings = settings_of(path, changes or [], PorterSettings)
    if functions:
        values = settings.model_dump(mode="json")
        values["functions"] |= dict(map(_named_file, functions))
        settings = validate(values, PorterSettings, "--function")
    log_to_stderr(settings.log_level)

    async def main() -> None:
        notifier, started = Notifier(), asyncio.Event()
        porter = asyncio.create_task(Porter(settings).run(started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({porter, waiting}, return_when=asyncio.FIRST_COMPLETED)
        notifier.ready(f"{len(settings.functions)} functions on {settings.listen}")
        try:
            await porter
        finally:
            waiting.cancel()
            porter.cancel()
            await asyncio.gather(porter, return_exceptions=True)

    run_until_signalled(main())


@app.command()
def invoke(
    name: Annotated[str, typer.Argument(help="The function.")],
    event: Annotated[str, typer.Argument(help="Its event, JSON.")] = "{}",
    *,
    url: UrlOption = URL,
) -> None:
    """Call a function; prints its result, and on standard error how it came about."""
    try:
        body = json.dumps(json.loads(event)).encode()
    except ValueError as error:
        raise TiermemError(f"event {event!r}: is not JSON: {error}") from None
    answer = _ask(f"{url}/invoke/{name}", body)
    typer.echo(json.dumps(answer["result"]))
    typer.echo(f"{answer['how']}, {answer['latency_ms']:.1f} ms", err=True)


@app.command()
def ls(
    *,
    url: UrlOption = URL,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """The functions: instances, policy, calls, latencies."""
    functions = _ask(f"{url}/functions")
    if as_json:
        typer.echo(json.dumps(functions, indent=1))
        return
    table = new_table(
        "function", "policy", "instances", "idle", "waiting", "calls", "p50 ms", "p99 ms"
    )
    for name, one in functions.items():
        counts = (str(one[key]) for key in ("instances", "idle", "waiting", "calls"))
        times = ("" if one[key] is None else f"{one[key]:.1f}" for key in ("p50_ms", "p99_ms"))
        table.add_row(name, one["policy"], *counts, *times)
    show(table if functions else "no functions")


def _named_file(text: str) -> tuple[str, dict[str, str]]:
    name, equals, file = text.partition("=")
    if not equals or not Path(file).is_file():
        raise ConfigError(f"--function {text}: must be NAME=FILE, of a Python file that is there")
    return name, {"file": str(Path(file).resolve())}


def _ask(url: str, body: bytes | None = None) -> Any:
    try:
        with urllib.request.urlopen(url, body, timeout=3600) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            message = json.load(error)["error"]
        except (ValueError, KeyError):
            message = f"answered with status {error.code}"
        raise TiermemError(message) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise MissingError(f"{url}: no porter answers ({reason}); `tiermem porter run`") from None
