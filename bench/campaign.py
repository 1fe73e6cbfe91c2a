"""Runs a list of specs on several guests side by side and keeps what came of each.

Guest time is exact, so that guests may share the host's cores; each takes the
next spec when it has done one. A guest that crashes is booted again, once a
spec; what failed is reported, never filled in.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tiermem.errors import TiermemError

from bench.guest.spec import IDENTIFY, RunSpec
from bench.session import Measured, Session, session

Report = Callable[[str], None]


@dataclass
class Campaign:
    """What was measured, what failed, and where (the guest kernel's release)."""

    measured: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    kernel_release: str = ""
    interrupted: bool = False


def default_guests() -> int:
    """One guest a core, two at most: more would only wait for each other's memory."""
    return max(1, min(2, os.cpu_count() or 1))


def run_all(
    specs: Sequence[RunSpec], folder: Path, guests: int, *, probe: bool = False
) -> Campaign:
    """Do all runs; returns when every spec was measured or has failed.

    A KeyboardInterrupt ends it early, with what was measured until then.
    """
    waiting: queue.SimpleQueue[RunSpec] = queue.SimpleQueue()
    for spec in specs:
        waiting.put(spec)
    campaign = Campaign()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("booting", total=len(specs))

        def say(text: str) -> None:
            bar.update(task, description=text)
            if not bar.console.is_terminal:
                bar.console.print(text, highlight=False, markup=False)

        def done() -> None:
            bar.advance(task)

        workers = [
            threading.Thread(
                target=_work,
                args=(waiting, lambda: session(folder, probe=probe), campaign, say, done),
                name=f"guest-{number}",
            )
            for number in range(min(guests, len(specs)))
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            campaign.interrupted = True
            campaign.failures.append(f"interrupted: {len(_drain(waiting))} runs were not begun")
            say("interrupted: the runs under way are finished first")
            for worker in workers:
                worker.join()
    for spec in _drain(waiting):
        campaign.failures.append(f"{_name(spec)}: no guest was left to run it")
    return campaign


def _in_words(error: Exception) -> str:
    """What the project's own errors say; others by their kind too."""
    if isinstance(error, TiermemError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _drain(waiting: queue.SimpleQueue[RunSpec]) -> list[RunSpec]:
    left = []
    while not waiting.empty():
        left.append(waiting.get_nowait())
    return left


def _name(spec: RunSpec) -> str:
    accuracy = " · accuracy" if spec.purpose == IDENTIFY else ""
    return f"{spec.workload} · {spec.policy} · seed {spec.seed}{accuracy}"


def _work(
    waiting: queue.SimpleQueue[RunSpec],
    open_session: Callable[[], AbstractContextManager[Session]],
    campaign: Campaign,
    say: Report,
    done: Callable[[], None],
) -> None:
    """Boot a guest and serve specs until none waits; boot anew after a failed one."""
    while not waiting.empty():
        try:
            with open_session() as opened:
                campaign.kernel_release = opened.kernel_release()
                while _serve_one(opened, waiting, campaign, say, done):
                    pass
        except Exception as error:
            # Not one spec's fault: the guest did not boot, or could not be prepared.
            campaign.failures.append(f"guest: {_in_words(error)}")
            return


def _serve_one(
    opened: Session,
    waiting: queue.SimpleQueue[RunSpec],
    campaign: Campaign,
    say: Report,
    done: Callable[[], None],
) -> bool:
    """One spec on a guest; False when there is none, or the guest is not to be trusted."""
    try:
        spec = waiting.get_nowait()
    except queue.Empty:
        return False
    name = _name(spec)
    say(name)
    begin = time.monotonic()
    try:
        campaign.measured.append(opened.run(spec, with_pac=spec.purpose == IDENTIFY))
    except Exception as error:
        # A full disk or an answer that is no JSON ends this run, not the campaign.
        campaign.failures.append(f"{name}: {_in_words(error)}")
        say(f"{name}: failed after {time.monotonic() - begin:.0f} s: {_in_words(error)}")
        return False
    finally:
        done()
    return True
