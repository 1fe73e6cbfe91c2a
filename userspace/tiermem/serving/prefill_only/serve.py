"""The server's life: from the options to the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tiermem.errors import TiermemError
from tiermem.layer.processor import multiplies_bfloat16
from tiermem.service.size import size_text
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS
from tiermem.serving.prefill_only.executor import Prefilled
from tiermem.serving.prefill_only.prefill_queue import PrefillQueue
from tiermem.serving.prefill_only.server import Server
from tiermem.serving.prefill_only.start import Started
from tiermem.serving.prefill_only.texts import Texts
from tiermem.serving.schedulers.options import PrefillOnlyOptions


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """name: what clients call the model. waiting_max: prompts in the queue."""

    name: str
    host: str
    port: int
    waiting_max: int
    fairness: float


async def serve(
    started: Started, texts: Texts, options: ServeOptions, say: Callable[[str], None]
) -> None:
    """Until cancelled: then no more is taken, what waits gets 503, and what runs its answer."""
    executor = started.executor
    queue: PrefillQueue[Prefilled] = PrefillQueue(
        executor.prefill_all,
        executor.cached_tokens,
        options.waiting_max,
        PrefillOnlyOptions(fairness=options.fairness),
        together_max=executor.together_max,
    )
    app = Server(options.name, texts, executor, queue).app()
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise TiermemError(f"{options.host}:{options.port}: {error.strerror}") from None
    queue.begin()
    say(f"serving {options.name} at http://{options.host}:{options.port}/v1")
    try:
        await asyncio.Event().wait()
    finally:
        say("ending")
        await asyncio.to_thread(queue.close)
        await runner.cleanup()


def described(started: Started) -> list[tuple[str, str]]:
    """What was measured and divided, for people."""
    budget, measured = started.executor.budget, started.measured_bytes
    tokens = budget.cache_blocks * BLOCK_TOKENS
    taken = "not measured" if measured is None else f"{size_text(measured)} measured"
    rows = [
        ("weights, beside the limit", size_text(started.weight_bytes)),
        ("limit of memory", size_text(budget.memory_bytes)),
        (
            f"an input of {budget.max_input_tokens} tokens",
            f"{size_text(budget.input_bytes)} ({taken})",
        ),
        ("prefix cache", f"{size_text(budget.cache_bytes)}, {tokens} tokens"),
    ]
    if started.dtype == "bfloat16" and not multiplies_bfloat16():
        rows.append(("slow", "this processor emulates bfloat16: --dtype float32 is faster here"))
    return rows
