"""`tiermem serving`: language models on the memory layer: options for vLLM, and a look at it."""

from __future__ import annotations

import typer

from tiermem.cli.prefill_only import prefill_only
from tiermem.cli.serving_options import options
from tiermem.cli.serving_top import top

app = typer.Typer(
    no_args_is_help=True,
    help="""Serve language models with KV in memory of a tier, in CXL memory and on SSD.

    The options to add to vLLM's:    tiermem serving options --memory 8GiB

    What the tiers do, live:         tiermem serving top

    One-token requests, served:      tiermem serving prefill-only MODEL --memory 2G

    vLLM itself is not part of it: install the build for this host's devices first, then
    tiermem with its extra "serving" beside it; `tiermem doctor` says what is missing.""",
)

app.command()(options)
app.command("prefill-only")(prefill_only)
app.command()(top)
