"""`tiermem serving`: language models on the memory layer: options for vLLM, and a look at it."""

from __future__ import annotations

import typer

from tiermem.cli.serving_options import options
from tiermem.cli.serving_top import top

app = typer.Typer(
    no_args_is_help=True,
    help="""Serve language models with KV in memory of a tier, in CXL memory and on SSD.

    The options to add to vLLM's:    tiermem serving options --memory 8GiB

    What the tiers do, live:         tiermem serving top

    vLLM itself is not part of it: install the build for this host's devices first, then
    tiermem with its extra "serving" beside it; `tiermem doctor` says what is missing.""",
)

app.command()(options)
app.command()(top)
