"""The `tiermem` command: finds the verbs' modules and turns errors into exit codes.

A verb is a module of this package with an `app`: a typer.Typer with a single
command, which is then the verb itself, or with several, which makes a group.
`VERBS` is the table of contents that `--help` shows. A verb's module is
imported when it is used and not before: importing costs seconds on a slow
machine, and a host may lack what another verb needs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tiermem.errors import MissingError, TiermemError

VERBS: dict[str, str] = {
    "testbed": "Build, boot and use the QEMU CXL machine.",
    "m5": "Page tiering: run the daemon, look at it, steer it.",
    "probe": "Ask the kernel about migrations, faults and tiering CPU time (eBPF).",
    "porter": "Functions as a service, restored from images instead of started cold.",
    "fork": "Checkpoint a process into the pool, restore it on any host of the pod.",
    "oasis": "NICs and SSDs of the pod's hosts, for instances on any of them.",
    "pool": "Memory shared by hosts: make a pool, look at it, keep it in order.",
    "arena": "Memory of a chosen tier that processes hold: list it.",
    "serving": "Language models on the memory layer: serve them, look at them.",
    "replay": "Run an address trace through trackers, memory model and M5's policy.",
    "doctor": "Explain what this host lacks for tiering and what to do about it.",
}
HELP = """A CXL memory layer for Linux.

What this host lacks:            tiermem doctor

What M5 would move (a dry run):  tiermem m5 run --dry-run --once

Without CXL memory, emulated:    tiermem testbed build, then tiermem testbed up

KV tiers for vLLM:               tiermem serving options --memory 8GiB
"""
COMPLETION_OPTIONS = ("install_completion", "show_completion")


def load_verb(name: str) -> Any:
    """The click command of one verb, its module imported.

    MissingError where this installation lacks a module that it imports.
    """
    with _naming_missing_modules(name):
        module = importlib.import_module(f"tiermem.cli.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    command.help = command.help or VERBS[name]
    command.params = [p for p in command.params if p.name not in COMPLETION_OPTIONS]
    return command


@contextmanager
def _naming_missing_modules(verb: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("tiermem.native._"):
            raise MissingError(
                f"{error.name} is not built: run `make native` in the checkout, or install "
                "tiermem again, which compiles it"
            ) from error
        if error.name is None or error.name.startswith("tiermem."):
            raise
        raise MissingError(
            f"`tiermem {verb}` needs the Python module {error.name}; "
            "install it, or tiermem with its extras: tiermem[testbed,bench,serving]"
        ) from error


class VerbGroup(TyperGroup):
    """Lists the verbs without importing them, imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        summary = VERBS.get(cmd_name)
        return None if summary is None else TyperCommand(cmd_name, help=summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name in VERBS else command, rest


def build_app() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="tiermem",
        cls=VerbGroup,
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    return app


def main() -> None:
    """Entry point; a TiermemError becomes one line on stderr and its exit code."""
    verb = next((word for word in sys.argv[1:] if word in VERBS), "")
    try:
        # A verb may import what it needs only when it runs.
        with _naming_missing_modules(verb):
            build_app()()
    except TiermemError as error:
        print(f"tiermem: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
