"""Runs that are kept for the call after an interrupted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.catalog import M5, POLICIES, WORKLOADS, run_spec
from bench.finished_runs import FinishedRuns, sources_identity
from bench.guest.spec import IDENTIFY, RunSpec
from bench.session import Measured
from tests.unit.bench.results import result_of

SPEC = run_spec(WORKLOADS["hotset"], POLICIES["numab"], 1, "full")
OTHERS = (
    replace(SPEC, seed=2),
    replace(SPEC, policy="none"),
    replace(SPEC, units=replace(SPEC.units, measure=SPEC.units.measure + 1)),
    run_spec(WORKLOADS["hotset"], POLICIES["numab"], 1, "full", IDENTIFY),
)


def measured(spec: RunSpec = SPEC) -> Measured:
    result = result_of(spec, phases={"measure": {"reads": [1, 2]}}, hot_pfns=[9])
    return Measured(result, 12.5, np.array([1, 2**63], dtype=np.uint64))


def test_a_run_comes_back_whole(tmp_path: Path) -> None:
    kept = measured()
    FinishedRuns(tmp_path, ("a", "m")).keep(SPEC, kept)
    found = FinishedRuns(tmp_path, ("a", "m")).find(SPEC)
    assert found is not None
    assert (found.result, found.wall_s) == (kept.result, kept.wall_s)
    assert found.pac is not None and kept.pac is not None
    np.testing.assert_array_equal(found.pac, kept.pac)


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_is_taken_for_no_other(tmp_path: Path, other: RunSpec) -> None:
    runs = FinishedRuns(tmp_path, ("a", "m"))
    runs.keep(SPEC, measured())
    assert runs.find(other) is None
    done, left = runs.split([other, SPEC])
    assert [one.result.policy for one in done] == [SPEC.policy]
    assert left == [other]


def test_runs_of_other_sources_do_not_count(tmp_path: Path) -> None:
    FinishedRuns(tmp_path, ("a", "m")).keep(SPEC, measured())
    assert FinishedRuns(tmp_path, ("b", "m")).find(SPEC) is None


def test_a_run_that_was_cut_while_it_was_kept_is_done_again(tmp_path: Path) -> None:
    runs = FinishedRuns(tmp_path, ("a", "m"))
    runs.keep(SPEC, measured())
    (whole,) = tmp_path.glob("*.json")
    whole.rename(whole.with_suffix(".part"))
    assert runs.find(SPEC) is None


def test_what_is_forgotten_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    runs = FinishedRuns(tmp_path / "finished", ("a", "m"))
    runs.forget([SPEC])
    for spec in (SPEC, OTHERS[0]):
        runs.keep(spec, measured(spec))
    runs.forget([SPEC])
    assert runs.split([SPEC, OTHERS[0]])[1] == [SPEC]


def test_a_change_of_the_daemon_leaves_the_kernels_runs(tmp_path: Path) -> None:
    daemons = run_spec(WORKLOADS["hotset"], POLICIES[M5], 1, "full")
    before, after = (FinishedRuns(tmp_path, ("a", daemon)) for daemon in ("m", "n"))
    for spec in (SPEC, daemons):
        before.keep(spec, measured(spec))
    assert after.split([SPEC, daemons])[1] == [daemons]


@pytest.mark.parametrize("of_daemon", [False, True])
def test_an_identity_follows_contents_and_names_of_what_a_run_depends_on(
    tmp_path: Path, of_daemon: bool
) -> None:
    def identity() -> str:
        return sources_identity(of_daemon=of_daemon, checkout=tmp_path)

    for folder in ("bench/guest", "bench/workloads", "userspace/tiermem/m5", "kmod"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("bench/session.py", "bench/programs.py", "kmod/a.c", "userspace/tiermem/m5/b.py"):
        (tmp_path / name).write_text("1")
    seen = [identity()]
    (tmp_path / "README.md").write_text("read me")
    (tmp_path / "kmod/__pycache__").mkdir()
    (tmp_path / "kmod/__pycache__/a.pyc").write_text("compiled")
    assert identity() == seen[0]
    (tmp_path / "kmod/a.c").write_text("2")
    seen.append(identity())
    (tmp_path / "kmod/a.c").rename(tmp_path / "kmod/b.c")
    seen.append(identity())
    assert len(set(seen)) == 3
    (tmp_path / "userspace/tiermem/m5/b.py").write_text("2")
    assert (identity() != seen[-1]) == of_daemon
