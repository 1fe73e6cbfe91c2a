"""`tiermem serving prefill-only`: one-token requests, over OpenAI's API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tiermem.cli.shown import new_console, new_table
from tiermem.errors import ConfigError


def prefill_only(
    model: Annotated[str, typer.Argument(help="A folder with the model, or its name in a hub.")],
    *,
    memory: Annotated[
        str, typer.Option(help="For inputs and the prefix cache, beside the weights: 512M, 8G.")
    ],
    max_input: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of the longest input; the model's context unless given."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    served_model_name: Annotated[
        str | None, typer.Option(help="What clients call the model; MODEL unless given.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto (the model's own), float32 or bfloat16.")] = (
        "auto"
    ),
    threads: Annotated[
        int | None, typer.Option(min=1, help="To compute with; torch's choice unless given.")
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(help="Of the prefix cache's memory: fastest, slowest, or a tier's place."),
    ] = None,
    fairness: Annotated[
        float,
        typer.Option(min=1e-6, help="Seconds of prefill that a second of waiting outweighs."),
    ] = 0.2,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Prompts that may wait; more get status 429.")
    ] = 256,
    chunk: Annotated[
        int, typer.Option(min=32, help="Tokens that norms, projections and MLP take at a time.")
    ] = 512,
    attention: Annotated[
        str, typer.Option(help="auto, native or vllm (fast) or torch (anywhere).")
    ] = "auto",
    check: Annotated[
        bool, typer.Option(help="Measure the longest input's memory before serving.")
    ] = True,
) -> None:
    """Serve requests of one output token: a class, a score, a yes or no.

    Inputs several times as long as elsewhere fit in the same memory, since KV of one layer is
    there at a time; of each input the prefix is kept, as much of it as fits; and the request
    that is the shortest, by what of it is cached now, runs first.

        tiermem serving prefill-only ./SmolLM2 --memory 2G --max-input 8192

    Clients ask as they ask OpenAI's API, with max_tokens=1 (/v1/completions) or
    max_completion_tokens=1 (/v1/chat/completions), and logprobs where they want shares.
    allowed_token_ids (in extra_body) and logit_bias limit what the token may be.

    What the longest input takes is computed, measured at the start, and set aside of --memory;
    the rest is the prefix cache. Weights, and what libraries take once, come on top.

    SIGTERM ends the server: the request under way gets its answer, those that wait get status
    503.
    """
    from tiermem.service.lifecycle import run_until_signalled
    from tiermem.serving.prefill_only.attention import AttentionName
    from tiermem.serving.prefill_only.families import DTypeName
    from tiermem.serving.prefill_only.serve import ServeOptions, described, serve
    from tiermem.serving.prefill_only.start import StartOptions, start
    from tiermem.serving.prefill_only.texts import Texts

    options = StartOptions(
        memory_bytes=_bytes(memory),
        max_input_tokens=max_input,
        dtype=_one_of("--dtype", dtype, DTypeName),
        chunk_tokens=chunk,
        attention=_one_of("--attention", attention, AttentionName),
        threads=threads,
        tier=_tier(tier),
        is_checked=check,
    )
    console = new_console(stderr=True)
    with console.status("starting") as status:
        texts = Texts(model)
        started = start(model, options, progress=status.update)
    table = new_table(show_header=False)
    for name, value in described(started):
        table.add_row(name, value)
    console.print(table)
    name = served_model_name or (Path(model).name if Path(model).is_dir() else model)
    served = ServeOptions(name, host, port, max_waiting, fairness)
    run_until_signalled(serve(started, texts, served, lambda line: print(line, flush=True)))


def _bytes(text: str) -> int:
    from tiermem.service.size import size_bytes

    try:
        return size_bytes(text)
    except ValueError as error:
        raise ConfigError(f"--memory {text!r}: {error}") from None


def _one_of(option: str, value: str, allowed: Any) -> Any:
    if value not in get_args(allowed):
        raise ConfigError(f"{option} {value!r}: must be one of {', '.join(get_args(allowed))}")
    return value


def _tier(text: str | None) -> Any:
    if text is None or text in ("fastest", "slowest"):
        return text
    if text.isdecimal():
        return int(text)
    raise ConfigError(f"--tier {text!r}: must be fastest, slowest, or a tier's place (0, 1, …)")
