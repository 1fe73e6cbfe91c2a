"""A campaign's account: every spec is measured, or told of under failures."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiermem.errors import TiermemError

from bench import campaign
from bench.campaign import run_all
from bench.catalog import POLICIES, WORKLOADS, run_spec
from bench.finished_runs import FinishedRuns
from bench.guest.spec import RunSpec
from bench.session import BenchError, Measured
from tests.unit.bench.results import result_of

SPECS = [run_spec(WORKLOADS["hotset"], policy, 1, "full") for policy in POLICIES.values()]


class Guest:
    """Stands in for a booted guest: `run` does what the test says."""

    def __init__(self, act: Callable[[RunSpec], object]) -> None:
        self._act = act

    def run(self, spec: RunSpec, *, with_pac: bool) -> object:
        return self._act(spec)


def guests(monkeypatch: pytest.MonkeyPatch, act: Callable[[RunSpec], object]) -> None:
    """Have the campaign boot such guests."""

    @contextmanager
    def session(_folder: Path, *, probe: bool) -> Iterator[Guest]:
        yield Guest(act)

    monkeypatch.setattr(campaign, "session", session)


@pytest.mark.parametrize(
    "error", [BenchError("no reads"), OSError(28, "No space left on device"), ValueError("Extra")]
)
def test_whatever_ends_a_run_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def act(spec: RunSpec) -> object:
        if spec.policy == "damon":
            raise error
        return spec

    guests(monkeypatch, act)
    found = run_all(SPECS, tmp_path, 2)
    assert len(found.measured) == len(SPECS) - 1
    assert len(found.failures) == 1
    assert "hotset · damon · seed 1" in found.failures[0]
    assert str(error) in found.failures[0]


def test_runs_that_no_guest_was_left_for_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def session(_folder: Path, *, probe: bool) -> Iterator[Guest]:
        raise TiermemError("no QEMU")
        yield

    monkeypatch.setattr(campaign, "session", session)
    found = run_all(SPECS, tmp_path, 1)
    assert found.measured == []
    assert found.failures[0] == "guest: no QEMU"
    assert len(found.failures) == 1 + len(SPECS)


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """As in the foreground: what a shell runs behind is made to ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    """As Ctrl-C does."""
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGINT)


def measured(spec: RunSpec) -> Measured:
    """A run's answer."""
    return Measured(result_of(spec), 1.0)


@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupted_campaign_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finished = FinishedRuns(tmp_path, ("same", "sources"))
    run: list[str] = []

    def act(spec: RunSpec) -> object:
        run.append(spec.policy)
        if len(run) == 3:
            interrupt()
            time.sleep(0.5)  # a real run does not end before the signal arrives either
        return measured(spec)

    guests(monkeypatch, act)
    first = run_all(SPECS, tmp_path, 1, finished=finished)
    assert first.interrupted
    assert len(first.measured) == 3
    second = run_all(SPECS, tmp_path, 1, finished=finished)
    assert second.taken_over == len(first.measured)
    assert not second.failures
    assert {one.result.policy for one in second.measured} == set(POLICIES)
    assert len(run) == len(SPECS)


@pytest.mark.usefixtures("heeds_interrupts")
def test_a_second_interrupt_does_not_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    released = threading.Event()

    def act(spec: RunSpec) -> object:
        interrupt()
        time.sleep(0.3)
        interrupt()
        released.wait(30)
        return measured(spec)

    guests(monkeypatch, act)
    begin = time.monotonic()
    found = run_all(SPECS, tmp_path, 1)
    released.set()
    assert time.monotonic() - begin < 10
    assert found.measured == []
    assert found.failures == [
        f"interrupted: {len(SPECS) - 1} runs were not begun",
        "interrupted: the runs under way were given up",
    ]
