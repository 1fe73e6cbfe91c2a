"""Processes for the configurations of `bench.serving`: engines that play loads when asked to.

    with Workers(folder, threads=1) as workers:
        played = workers.running([engine])[engine.name].play(load)

A process keeps its engine until another one is asked for. What is said goes by lines of
JSON; what vLLM says goes to a file, whose last lines are shown where the process fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from tiermem.errors import TiermemError

from bench.serving_clock import ClockName
from bench.serving_engine import Engine
from bench.serving_play import Answered, Played
from bench.serving_sessions import Load, Session, Turn
from bench.serving_watch import MemoryUse

_SAID_LINES = 15
# More take longer together than one after the other.
_STARTED_AT_ONCE = 2
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Workers:
    """Processes that engines are in, one after the other: kept from part to part, for they take
    longer to come up than engines do. log: a folder."""

    def __init__(self, log: Path, threads: int, clock: ClockName = "wall") -> None:
        self._log, self._threads, self._clock = log, threads, clock
        self._workers: list[Worker] = []

    def running(self, engines: Sequence[Engine]) -> dict[str, Playing]:
        """By name, each engine there and idle."""
        while len(self._workers) < len(engines):
            log = self._log / f"serving-{len(self._workers)}.log"
            self._workers.append(Worker(log, self._threads, self._clock))
        playing = [Playing(*one) for one in zip(self._workers, engines, strict=False)]
        with ThreadPoolExecutor(_STARTED_AT_ONCE) as starting:
            list(starting.map(lambda one: one.worker.start(one.engine), playing))
        return {one.engine.name: one for one in playing}

    def close(self) -> None:
        """The next `running` begins anew."""
        workers, self._workers = self._workers, []
        with ThreadPoolExecutor() as closing:
            list(closing.map(Worker.close, workers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@dataclass(frozen=True)
class Playing:
    """An engine where it is."""

    worker: Worker
    engine: Engine

    def play(self, load: Load, *, is_free: bool = False) -> Played:
        """See `Worker`."""
        return self.worker.play(self.engine, load, is_free=is_free)


class Worker:
    """Idle until asked. log: of its standard error. TiermemError where it fails."""

    def __init__(self, log: Path, threads: int, clock: ClockName) -> None:
        self._log, self._clock = log, clock
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.serving_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **_ENVIRONMENT, "OMP_NUM_THREADS": str(threads)},
            )

    def start(self, engine: Engine) -> None:
        """Have it there, so that the next `play` begins at once."""
        self._ask({"engine": asdict(engine)})

    def play(self, engine: Engine, load: Load, *, is_free: bool = False) -> Played:
        """With nothing in vLLM's own cache that was there before."""
        given = {"engine": asdict(engine), "load": asdict(load)}
        return _played(self._ask(given | {"clock": self._clock, "is_free": is_free}))

    def close(self) -> None:
        """Its engine ends in its own time, which may be some seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, what: Mapping[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(what) + "\n")
            stdin.flush()
        answer = stdout.readline()
        if not answer:
            # It has said why when it has ended.
            self._process.wait()
            said = self._log.read_text(errors="replace").splitlines()[-_SAID_LINES:]
            raise TiermemError("\n".join([f"an engine failed; {self._log} ends with:", *said]))
        return json.loads(answer)


def _played(tree: dict[str, Any]) -> Played:
    requests = [Answered(**one) for one in tree.pop("requests")]
    return Played(requests=requests, memory=MemoryUse(**tree.pop("memory")), **tree)


def _load(tree: dict[str, Any]) -> Load:
    sessions = tuple(
        Session(turns=tuple(Turn(**turn) for turn in one.pop("turns")), **one)
        for one in tree.pop("sessions")
    )
    return Load(sessions=sessions, **tree)


def _serve(said: IO[str]) -> None:
    from bench.serving_engine import started
    from bench.serving_play import Player
    from bench.serving_text import Text
    from bench.smollm2 import model_folder

    text: Text | None = None
    with contextlib.ExitStack() as open_engine:
        made: Engine | None = None
        running: Any = None
        for line in sys.stdin:
            asked = json.loads(line)
            spec = Engine(**asked["engine"])
            text = text or Text(model_folder(spec.dtype))
            if spec != made:
                running = None
                open_engine.close()
                running, made = open_engine.enter_context(started(spec)), spec
                _warm_up(running, spec.context_tokens // 4)
            answer: Any = {"is_ready": True}
            if "load" in asked:
                assert running.reset_prefix_cache(reset_connector=spec.tiers is not None)
                load = _load(asked["load"])
                how = {name: asked[name] for name in ("clock", "is_free")}
                player = Player(running, spec.name, load, text, **how)
                answer = asdict(player.play())
            said.write(json.dumps(answer) + "\n")
            said.flush()


def _warm_up(engine: Any, tokens: int) -> None:
    """What happens once only: kernels that are made, memory that is touched first."""
    from vllm import SamplingParams

    for number in range(4):
        prompt = {"prompt_token_ids": [1000 + number] * tokens}
        engine.add_request(f"warm{number}", prompt, SamplingParams(max_tokens=8, ignore_eos=True))
    while engine.has_unfinished_requests():
        engine.step()


if __name__ == "__main__":
    # vLLM writes to standard output too.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        _serve(answers)
