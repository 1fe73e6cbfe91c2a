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

from bench.finished_runs import FinishedRuns
from bench.guest.spec import IDENTIFY, RunSpec
from bench.session import Measured, Session, session

_LOOK_S = 0.1

Report = Callable[[str], None]


@dataclass
class Campaign:
    """What was measured, what failed, and where (the guest kernel's release).

    taken_over: how many of the runs an interrupted call had finished.
    """

    measured: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    taken_over: int = 0
    interrupted: bool = False

    @property
    def kernel_release(self) -> str:
        """The guests' kernel; empty where nothing was measured."""
        return self.measured[0].result.kernel_release if self.measured else ""


def default_guests() -> int:
    """One guest a core, two at most: more would only wait for each other's memory."""
    return max(1, min(2, os.cpu_count() or 1))


def run_all(
    specs: Sequence[RunSpec],
    folder: Path,
    guests: int,
    *,
    probe: bool = False,
    finished: FinishedRuns | None = None,
) -> Campaign:
    """Do all runs; returns when every spec was measured or has failed.

    finished: where runs are kept as they end; those found there are not done again.
    A KeyboardInterrupt ends it early, with what was measured until then; a second
    one does not wait for the runs under way.
    """
    campaign = Campaign()
    left = list(specs)
    if finished is not None:
        campaign.measured, left = finished.split(specs)
        campaign.taken_over = len(campaign.measured)
    waiting: queue.SimpleQueue[RunSpec] = queue.SimpleQueue()
    for spec in left:
        waiting.put(spec)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("booting", total=len(specs), completed=campaign.taken_over)

        def say(text: str) -> None:
            bar.update(task, description=text)
            if not bar.console.is_terminal:
                bar.console.print(text, highlight=False, markup=False)

        if campaign.taken_over:
            say(f"going on: {campaign.taken_over} runs of an earlier call are taken over")
        desk = _Desk(waiting, campaign, say, lambda: bar.advance(task), finished)
        workers = [
            # As daemons, so that a second interrupt need not wait for them: a guest ends
            # with the thread that booted it.
            threading.Thread(
                target=_work,
                args=(desk, lambda: session(folder, probe=probe)),
                name=f"guest-{number}",
                daemon=True,
            )
            for number in range(min(guests, len(left)))
        ]
        _run_to_the_end(workers, desk)
    for spec in _drain(waiting):
        campaign.failures.append(f"{_name(spec)}: no guest was left to run it")
    return campaign


@dataclass(frozen=True)
class _Desk:
    """Where the guests' threads get their work, hand in what came of it, and sign off."""

    waiting: queue.SimpleQueue[RunSpec]
    campaign: Campaign
    say: Report
    done: Callable[[], None]
    finished: FinishedRuns | None
    ended: list[str] = field(default_factory=list)

    def hand_in(self, spec: RunSpec, measured: Measured) -> None:
        """Take a run into the account, and keep it for a call after this one."""
        self.campaign.measured.append(measured)
        if self.finished is not None:
            self.finished.keep(spec, measured)


def _run_to_the_end(workers: Sequence[threading.Thread], desk: _Desk) -> None:
    try:
        for worker in workers:
            worker.start()
        _wait_for_guests(workers, desk)
    except KeyboardInterrupt:
        desk.campaign.interrupted = True
        unbegun = len(_drain(desk.waiting))
        desk.campaign.failures.append(f"interrupted: {unbegun} runs were not begun")
        desk.say("interrupted: the runs under way are finished first; once more ends at once")
        try:
            _wait_for_guests([worker for worker in workers if worker.ident], desk)
        except KeyboardInterrupt:
            desk.campaign.failures.append("interrupted: the runs under way were given up")


def _wait_for_guests(workers: Sequence[threading.Thread], desk: _Desk) -> None:
    """Until all have ended. Not by Thread.join: interrupted, it takes a thread for ended
    that is not (CPython 3.11)."""
    while len(desk.ended) < len(workers):
        time.sleep(_LOOK_S)


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


def _work(desk: _Desk, open_session: Callable[[], AbstractContextManager[Session]]) -> None:
    """Boot a guest and serve specs until none waits; boot anew after a failed one."""
    try:
        while not desk.waiting.empty():
            with open_session() as opened:
                while _serve_one(opened, desk):
                    pass
    except Exception as error:
        # Not one spec's fault: the guest did not boot, or could not be prepared.
        desk.campaign.failures.append(f"guest: {_in_words(error)}")
    finally:
        desk.ended.append(threading.current_thread().name)


def _serve_one(opened: Session, desk: _Desk) -> bool:
    """One spec on a guest; False when there is none, or the guest is not to be trusted."""
    try:
        spec = desk.waiting.get_nowait()
    except queue.Empty:
        return False
    name = _name(spec)
    desk.say(name)
    begin = time.monotonic()
    try:
        desk.hand_in(spec, opened.run(spec, with_pac=spec.purpose == IDENTIFY))
    except Exception as error:
        # A full disk or an answer that is no JSON ends this run, not the campaign.
        desk.campaign.failures.append(f"{name}: {_in_words(error)}")
        desk.say(f"{name}: failed after {time.monotonic() - begin:.0f} s: {_in_words(error)}")
        return False
    finally:
        desk.done()
    return True
