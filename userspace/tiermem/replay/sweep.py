"""Many replays of one trace: contenders times settings, on several cores if wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tiermem.errors import ConfigError
from tiermem.m5.settings import M5Settings
from tiermem.replay.contenders import Contender
from tiermem.replay.runner import MachineSettings, Result, replay
from tiermem.replay.trace import Trace
from tiermem.service.config import with_change

Change = tuple[str, str]
"""A dotted key of m5.toml and its value, as written there."""


@dataclass(frozen=True, slots=True)
class Job:
    """One replay: who decides, and what differs from the base settings."""

    contender: Contender
    settings: M5Settings
    changes: tuple[Change, ...] = ()


def parse_changes(options: list[str]) -> list[tuple[Change, ...]]:
    """Every combination of options like "nominator.min_lists=1,2"; one empty one for none.

    ConfigError for an option without "=" or without a value.
    """
    axes: list[list[Change]] = []
    for option in options:
        key, equals, values = option.partition("=")
        if not (equals and key and values):
            raise ConfigError(f"--set {option}: must be KEY=VALUE or KEY=VALUE,VALUE,…")
        axes.append([(key.strip(), value.strip()) for value in values.split(",")])
    return list(itertools.product(*axes))


def plan(
    contenders: list[Contender], settings: M5Settings, changes: list[tuple[Change, ...]]
) -> list[Job]:
    """The jobs in order; a contender without rounds runs once. Policies are tried out,
    so that a wrong value or class is a ConfigError before anything runs."""
    jobs = []
    for contender in contenders:
        for combination in changes if contender.decides else [()]:
            changed = settings
            for key, value in combination:
                changed = with_change(changed, key, value)
            contender.make_policy(changed)
            jobs.append(Job(contender, changed, combination))
    return jobs


def run_jobs(
    jobs: list[Job],
    trace: Trace,
    machine: MachineSettings,
    workers: int,
    progress: Callable[[int, int], None] = lambda job, records: None,
) -> Iterator[tuple[Job, Result]]:
    """Results in the jobs' order. `progress` gets the job's number and records done
    (from several processes: only when a job has ended)."""
    if workers <= 1 or len(jobs) == 1:
        for number, job in enumerate(jobs):

            def tell(records: int, number: int = number) -> None:
                progress(number, records)

            yield job, replay(trace, machine, job.settings, job.contender, tell)
        return
    with ProcessPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(replay, trace, machine, job.settings, job.contender) for job in jobs]
        for number, (job, future) in enumerate(zip(jobs, futures, strict=True)):
            result = future.result()
            progress(number, trace.records)
            yield job, result
