"""The plugin where vLLM is not, or is another one: nothing happens, and nobody is disturbed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REGISTER = "from tiermem.serving import vllm_plugin; vllm_plugin.register(); print('well')"
ASK = "from tiermem.serving import FlashGenScheduler"


def run(code: str, vllm: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(vllm)!r}); {code}"],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("is_there", [False, True])
def test_it_is_harmless(tmp_path: Path, is_there: bool) -> None:
    """There: a vLLM without connectors, as those before the interface."""
    if is_there:
        (tmp_path / "vllm").mkdir()
        (tmp_path / "vllm/__init__.py").write_text("__version__ = '0.1'\n")
    done = run(REGISTER, tmp_path)
    assert (done.stdout, done.stderr) == ("well\n", "")


def test_who_asks_for_a_scheduler_is_told_what_is_missing(tmp_path: Path) -> None:
    done = run(ASK, tmp_path)
    assert "install vLLM 0.32" in done.stderr
    assert (
        "has no attribute 'Other'" in run("import tiermem.serving as s; s.Other", tmp_path).stderr
    )
