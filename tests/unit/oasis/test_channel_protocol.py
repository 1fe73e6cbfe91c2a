"""The channel's protocol as a model that spin checks (native/channel.pml).

Here what does not need luck: messages go on arriving, and leaving anything out is found.
`make model` checks every interleaving with what caches do by themselves.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tiermem.native import build

MODEL = build.NATIVE / "channel.pml"


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that spin makes of the model."""
    folder = tmp_path_factory.mktemp("spin")
    subprocess.run(["spin", "-a", "-DARRIVES", MODEL], cwd=folder, check=True, capture_output=True)
    subprocess.run(["cc", "-O2", "-DNFAIR=3", "-o", "pan", "pan.c"], cwd=folder, check=True)
    return folder / "pan"


def errors(checker: Path, left_out: int) -> int:
    """How many errors an exhaustive search finds; it stops at the first."""
    done = subprocess.run(
        [checker, "-a", "-f", "-m200000"],
        cwd=checker.parent,
        env={"LEFT_OUT": str(left_out)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"errors: (\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1])


def test_messages_go_on_arriving_though_nothing_happens_by_luck(checker: Path) -> None:
    assert errors(checker, left_out=0) == 0


@pytest.mark.parametrize("left_out", range(1, 9))
def test_what_is_left_out_is_missed(checker: Path, left_out: int) -> None:
    assert errors(checker, left_out) == 1
