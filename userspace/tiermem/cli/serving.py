"""`tiermem serving`: language models on the memory layer."""

from __future__ import annotations

import typer

from tiermem.cli.prefill_only import prefill_only

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Serve language models on the memory layer (docs/serving.md).",
)
app.callback()(lambda: None)
app.command("prefill-only")(prefill_only)
