"""A scripted chat of several users, served by vLLM with KV tiers, and by plain vLLM beside it.

The engine's own KV memory holds about one of their histories, so that each one is gone when
its user comes back.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from tiermem.errors import TiermemError
from tiermem.serving.kv.host_check import check_host
from tiermem.serving.kv.settings import read_settings
from tiermem.serving.vllm_options import VllmOptions

from bench.smollm2 import model_folder
from examples.chat.report import comparison, summary, turns_table
from examples.chat.script import USERS_MAX
from examples.chat.server import Engine, serving
from examples.chat.talk import Turn, talk

_CONTEXT_TOKENS = 1024
EXIT_INTERRUPTED = 130


def chat(
    *,
    users: Annotated[int, typer.Option(min=1, max=USERS_MAX, help="They speak in turn.")] = 4,
    turns: Annotated[int, typer.Option(min=1, max=5, help="How often each of them speaks.")] = 4,
    answer_tokens: Annotated[int, typer.Option(min=1, max=60, help="Length of answers.")] = 32,
    kv_tokens: Annotated[
        int, typer.Option(min=_CONTEXT_TOKENS, help="What fits into the engine's own KV memory.")
    ] = _CONTEXT_TOKENS,
    memory: Annotated[str, typer.Option(help="KV tier in memory.")] = "64MiB",
    ssd: Annotated[
        Path | None, typer.Option(help="File of the KV tier on SSD; without it a temporary one.")
    ] = None,
    ssd_capacity: Annotated[str, typer.Option(help="How large it may become.")] = "1GiB",
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="The same chat with plain vLLM.")
    ] = True,
    start_s: Annotated[float, typer.Option(help="Seconds that a server may take to start.")] = 300,
) -> None:
    """Chat with SmolLM2-135M through vLLM's OpenAI-compatible server, with KV tiers.

    A glance:                        python examples/chat --users 3 --turns 2 --no-compare

    For each turn: tokens of its prompt, how many of them were still in the engine, came back
    from memory or from SSD, or were computed, and the time to the first token (TTFT). Greedy
    and in float32, so that the answers of both servers are the same. Takes about two minutes;
    Ctrl-C ends the servers too.
    """
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiermem-chat-")))
        file = ssd.absolute() if ssd else folder / "kv"
        extra = {
            "memory": {"capacity": memory},
            "ssd": {"path": str(file), "capacity": ssd_capacity},
        }
        check_host(read_settings(extra))
        with console.status("preparing the model (half a minute the first time)"):
            model = model_folder("float32")
        engine = Engine(model, kv_tokens, _CONTEXT_TOKENS, start_s, folder)
        options = VllmOptions(extra).arguments()
        console.print("vLLM with", " ".join(options), style="dim", highlight=False)

        def converse(name: str, more: list[str]) -> list[Turn]:
            log = folder / f"{name.replace(' ', '-')}.log"
            with serving(engine, name, more, log, console) as url:
                return _follow(name, talk(url, users, turns, answer_tokens), console)

        tiered = converse("vLLM with KV tiers", options)
        lines = summary(tiered)
        if compare:
            plain = converse("plain vLLM", [])
            lines += comparison(tiered, plain)
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        if compare and any(a.answer != b.answer for a, b in zip(tiered, plain, strict=True)):
            raise TiermemError("the answers differ: please report it")


def _follow(name: str, turns: Iterator[Turn], console: Console) -> list[Turn]:
    """All turns, as a table that grows; where nobody watches, told by a line each first."""
    seen: list[Turn] = []
    with Live(console=console, auto_refresh=False) as live:
        for turn in turns:
            seen.append(turn)
            if console.is_terminal:
                live.update(turns_table(name, seen), refresh=True)
            else:
                print(f"{name}: turn {turn.number + 1}, {turn.user.subject}", flush=True)
        live.update(turns_table(name, seen), refresh=True)
    console.print()
    return seen


def main() -> None:
    """One line and an exit status for what goes wrong; servers end whatever ends this."""
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)
    try:
        typer.run(chat)
    except TiermemError as error:
        print(f"chat: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
