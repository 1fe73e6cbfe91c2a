"""vLLM's OpenAI-compatible server as a child process, which ends with this one's `with`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tiermem.errors import TiermemError, TimeoutExpiredError
from tiermem.serving.top import metrics_url, scrape

MODEL = "smollm2"
BLOCK_TOKENS = 32
# At its end the tiers get time to bring to SSD what memory has.
_END_S = 60.0
_LOOK_S = 0.25


@dataclass(frozen=True)
class Engine:
    """What both servers have alike. kv_tokens: of the engine's own KV memory; folder: for the
    sockets and whatever else vLLM leaves behind."""

    model: Path
    kv_tokens: int
    context_tokens: int
    start_s: float
    folder: Path

    def command(self, port: int) -> list[str]:
        """vLLM's own command line."""
        return [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(self.model), "--served-model-name", MODEL, "--dtype", "float32"),
            *("--host", "127.0.0.1", "--port", str(port), "--enforce-eager"),
            *("--block-size", str(BLOCK_TOKENS), "--max-model-len", str(self.context_tokens)),
            # One block is vLLM's own.
            *("--num-gpu-blocks-override", str(self.kv_tokens // BLOCK_TOKENS + 1)),
        ]

    def environment(self) -> dict[str, str]:
        """As many threads for all engines, not bound; and processors left for other programs,
        beside which threads that compute together wait for each other."""
        count = str(max(1, (os.cpu_count() or 1) // 2))
        threads = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": count}
        plain = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        ours = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "TMPDIR": str(self.folder)}
        return {**threads, **plain, **os.environ, **ours}


@contextmanager
def serving(
    engine: Engine, name: str, options: Sequence[str], log: Path, console: Console
) -> Iterator[str]:
    """The server's address, once it answers. TiermemError with the log's end where it does not."""
    port = _free_port()
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C is for this process, which then ends it in order.
        child = subprocess.Popen(
            [*engine.command(port), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=engine.environment(),
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        with console.status(f"{name}: starting (log: {log})") as status:
            _wait(child, url, engine.start_s, log, lambda text: status.update(f"{name}: {text}"))
        console.print(f"{name}: tiermem serving top {url}", highlight=False)
        yield url
    finally:
        with console.status(f"{name}: ending"):
            _end(child)


def _wait(
    child: subprocess.Popen[bytes], url: str, limit_s: float, log: Path, tell: Callable[[str], None]
) -> None:
    begun_s = time.monotonic()
    while child.poll() is None:
        passed_s = time.monotonic() - begun_s
        if passed_s > limit_s:
            raise TimeoutExpiredError(f"the server was not up after {limit_s:.0f} s; see {log}")
        tell(f"starting, {passed_s:.0f} s (log: {log})")
        try:
            scrape(metrics_url(url))
        except TiermemError:
            time.sleep(_LOOK_S)
        else:
            return
    raise TiermemError(f"the server ended with status {child.returncode}:\n{_last_lines(log)}")


def _end(child: subprocess.Popen[bytes]) -> None:
    """In order where it can be: engine and tiers are other processes of the same session."""
    try:
        child.terminate()
        child.wait(_END_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _last_lines(log: Path, count: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
