"""Hosts as processes over a pool in a file, killed and stopped by signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiermem.layer.pool import create_pool, open_pool
from tiermem.oasis.allocator.leadership import leader_of
from tiermem.oasis.allocator.state import format_state, state_bytes

HOSTS = 3
PATIENCE_S = 60.0
PROGRAM = "tests.unit.oasis.allocator.pod_process"


class Pod:
    """The processes, and what each said last."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pool = folder, folder / "pool"
        create_pool(self._pool, hosts=HOSTS, entries=8, size=16 << 20)
        with (
            open_pool(self._pool, 0, run_dir=folder / "run0") as pool,
            pool.create_area("allocator", state_bytes(HOSTS)) as area,
        ):
            format_state(area, HOSTS)
        self._processes = {host: self._start(host) for host in range(HOSTS)}

    def _start(self, host: int) -> subprocess.Popen[bytes]:
        with self._said(host).open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", PROGRAM, self._pool, str(host), self._folder / f"run{host}"],
                stdout=out,
            )

    def _said(self, host: int) -> Path:
        return self._folder / f"said{host}"

    def last(self, host: int) -> dict[str, Any]:
        whole = self._said(host).read_text().rpartition("\n")[0].splitlines()
        return dict(json.loads(whole[-1])) if whole else {"leads": False, "term": 0}

    def signal(self, host: int, number: signal.Signals) -> None:
        self._processes[host].send_signal(number)

    def wait(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, [self.last(host) for host in range(HOSTS)]
            time.sleep(0.02)

    def agree(self, hosts: set[int], instances: set[int]) -> bool:
        """One of them leads, and all obey its table, in which those hosts' instances are."""
        said = [self.last(host) for host in sorted(hosts)]
        terms = {one["term"] for one in said}
        leaders = [host for host in hosts if self.last(host)["leads"]]
        return (
            len(leaders) == len(terms) == 1
            and leader_of(terms.pop()) == leaders[0]
            and {one[0] for one in said[0]["instances"]} == instances
        )

    def leader(self) -> int:
        return next(host for host in range(HOSTS) if self.last(host)["leads"])

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """All tests' own: the last of them kills a host."""
    made = Pod(tmp_path_factory.mktemp("pod"))
    try:
        yield made
    finally:
        made.end()


def test_a_leader_that_was_stopped_follows_who_took_over(pod: Pod) -> None:
    everybody = set(range(HOSTS))
    pod.wait(lambda: pod.agree(everybody, everybody))
    stopped, term = pod.leader(), pod.last(0)["term"]
    others = everybody - {stopped}
    pod.signal(stopped, signal.SIGSTOP)
    pod.wait(lambda: pod.agree(others, others))
    pod.signal(stopped, signal.SIGCONT)
    pod.wait(lambda: pod.agree(everybody, everybody))
    assert pod.last(stopped)["term"] > term


def test_another_leads_when_the_leader_is_killed(pod: Pod) -> None:
    everybody = set(range(HOSTS))
    pod.wait(lambda: pod.agree(everybody, everybody))
    dead = pod.leader()
    pod.signal(dead, signal.SIGKILL)
    pod.wait(lambda: pod.agree(everybody - {dead}, everybody - {dead}))
