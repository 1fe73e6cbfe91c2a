"""The benchmark's programs, compiled once for the session."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WORKLOADS = Path(__file__).parents[3] / "bench/workloads"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the static programs of bench/workloads."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.fail("the benchmark's programs need make and cc")
    out = tmp_path_factory.mktemp("programs")
    command = ["make", "-s", "-j2", "-C", str(WORKLOADS), f"OUT={out}", "all"]
    subprocess.run(command, check=True)
    return out
