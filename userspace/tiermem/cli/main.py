"""The `tiermem` command: finds the verbs' modules and turns errors into exit codes.

A verb is a module of this package with an `app` (a typer.Typer for a group, or
one with a single command). `VERBS` is the table of contents that `--help` shows.
"""

from __future__ import annotations

import importlib
import sys

import typer
from rich.console import Console

from tiermem.errors import TiermemError

VERBS: dict[str, str] = {
    "testbed": "Build, boot and use the QEMU CXL machine.",
    "m5": "Page tiering: run the daemon, look at it, steer it.",
    "probe": "Ask the kernel about migrations, faults and tiering CPU time (eBPF).",
    "replay": "Run an address trace through trackers, memory model and M5's policy.",
    "doctor": "Explain what this host lacks for tiering and what to do about it.",
}


def build_app() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="tiermem",
        help="A CXL memory layer for Linux.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for verb, summary in VERBS.items():
        module = importlib.import_module(f"tiermem.cli.{verb}")
        app.add_typer(module.app, name=verb, help=summary)
    return app


def main() -> None:
    """Entry point; a TiermemError becomes one line on stderr and its exit code."""
    try:
        build_app()()
    except TiermemError as error:
        Console(stderr=True).print(f"tiermem: {error}", markup=False, highlight=False)
        sys.exit(error.exit_code)
