"""What the hardware model costs, measured by those who own it: plugin and replay.

`bench.plugin` measures the slow-down of emulation, `tiermem replay` its own
speed; their numbers become figures of the page-tiering benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bench.result_file import CHECKOUT, OUT

PLUGIN_FIGURES = ("plugin_idle_ratio", "plugin_armed_ratio")
REPLAY_FIGURE = "replay_accesses_per_s"
TIMEOUT_S = 900


def _run(command: Sequence[str], quick: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "QUICK": "1" if quick else "0"}
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
    )


def _plugin(quick: bool) -> dict[str, float | None]:
    done = _run([sys.executable, "-m", "bench.plugin"], quick)
    if done.returncode:
        raise ValueError(f"bench.plugin ended with status {done.returncode}")
    tree: dict[str, Any] = json.loads((OUT / "plugin.json").read_text())
    return {name: float(tree["figures"][name]) for name in PLUGIN_FIGURES}


def _replay(quick: bool) -> dict[str, float | None]:
    done = _run([sys.executable, "-m", "tiermem.cli", "replay", "--json"], quick)
    if done.returncode:
        raise ValueError(f"tiermem replay ended with status {done.returncode}")
    return {REPLAY_FIGURE: float(json.loads(done.stdout)[REPLAY_FIGURE])}


def plugin_and_replay_figures(*, quick: bool) -> tuple[dict[str, float | None], list[str]]:
    """The figures, None where one could not be measured, and why not."""
    found: dict[str, float | None] = dict.fromkeys((*PLUGIN_FIGURES, REPLAY_FIGURE))
    failures = []
    for measure in (_plugin, _replay):
        try:
            found |= measure(quick)
        except (ValueError, KeyError, OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{measure.__name__.strip('_')}: {error}")
    return found, failures
