"""A campaign's account: every spec is measured, or told of under failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiermem.errors import TiermemError

from bench import campaign
from bench.campaign import run_all
from bench.catalog import POLICIES, WORKLOADS, run_spec
from bench.guest.spec import RunSpec
from bench.session import BenchError

SPECS = [run_spec(WORKLOADS["hotset"], policy, 1, "full") for policy in POLICIES.values()]


class Guest:
    """Stands in for a booted guest: `run` does what the test says."""

    def __init__(self, act: Callable[[RunSpec], object]) -> None:
        self._act = act

    def kernel_release(self) -> str:
        return "7.3"

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
