"""Real programs to be taken, and a pool to take them into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.errors import TiermemError
from tiermem.layer.pool import Pool, create_pool, open_pool

from tests.unit.cxlfork.targets import Target

PROGRAMS = Path(__file__).parent / "programs"
POOL_BYTES = 96 << 20

Starter = Callable[..., Target]


@pytest.fixture(scope="session")
def may_trace() -> None:
    """Of other users, or in a container that refuses ptrace, nothing can be taken."""
    if os.geteuid() != 0:
        pytest.skip("checkpoints need root")
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            with StoppedProcess(sleeper.pid):
                pass
        except TiermemError as error:
            pytest.skip(f"ptrace is refused here: {error}")
        finally:
            sleeper.kill()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A program of programs/ by its name; compiled when it is first asked for."""
    out = tmp_path_factory.mktemp("programs")

    @cache
    def compile_one(name: str) -> Path:
        command = ["cc", "-std=gnu99", "-O2", "-Wall", "-Wextra", "-pthread", "-o"]
        subprocess.run([*command, out / name, PROGRAMS / f"{name}.c"], check=True)
        return out / name

    return compile_one


@pytest.fixture
def start(compiled: Callable[[str], Path], may_trace: None) -> Iterator[Starter]:
    """Starts one by its name, or (`python=True`) a Python text; ended after the test."""
    with ExitStack() as stack:

        def start_one(program: str, *arguments: object, python: bool = False) -> Target:
            head = [sys.executable, "-c", program] if python else [str(compiled(program))]
            return stack.enter_context(Target([*head, *map(str, arguments)]))

        yield start_one


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """An empty pool of one host: a file, or the device that TIERMEM_TEST_POOL names."""
    device = os.environ.get("TIERMEM_TEST_POOL")
    path = Path(device) if device else tmp_path / "pool"
    create_pool(path, hosts=1, entries=64, size=None if device else POOL_BYTES, force=bool(device))
    with open_pool(path, 0, run_dir=tmp_path / "run") as opened:
        yield opened
    if not device:
        path.unlink()
