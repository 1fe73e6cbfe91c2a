"""The benchmark's programs, those that a module's `PROGRAMS` names, compiled once for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WORKLOADS = Path(__file__).parents[3] / "bench/workloads"


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with static programs of bench/workloads."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.fail("the benchmark's programs need make and cc")
    out = tmp_path_factory.mktemp("programs")
    wanted = [f"{out}/{name}" for name in request.module.PROGRAMS]
    subprocess.run(["make", "-s", "-j2", "-C", WORKLOADS, f"OUT={out}", *wanted], check=True)
    return out
