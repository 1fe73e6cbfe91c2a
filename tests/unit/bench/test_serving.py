"""The command bench.serving, without its engines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiermem.errors import TiermemError

from bench import serving
from bench.serving_clock import Clock
from bench.serving_parts import PARTS, Amount, Found, Setting
from bench.serving_traces import load_source
from bench.serving_worker import Workers


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(load_source(None, None), Workers(tmp_path, 1), tmp_path)


def works(_amount: Amount, _setting: Setting, advance: object) -> Found:
    return Found({"figure": 2.0}, [], [], failures=["another one is not there"])


def fails(_amount: Amount, _setting: Setting, advance: object) -> Found:
    raise TiermemError("an engine failed")


def test_a_part_that_fails_leaves_its_figures_out_and_the_others_in(
    setting: Setting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(PARTS, "fits", fails)
    monkeypatch.setitem(PARTS, "wrong", works)
    monkeypatch.setattr(serving, "version", lambda _name: "0")
    outcome = serving.measure(("fits", "wrong"), serving.QUICK, setting)
    tree = serving.as_json(outcome, serving.QUICK, setting)
    serving.report(outcome, tree, tmp_path / "serving.json")
    written = json.loads((tmp_path / "serving.json").read_text())
    assert written["figures"] == {"figure": 2.0}
    said = ["fits: an engine failed", "wrong: another one is not there"]
    assert written["failures"] == said
    assert all(one in capsys.readouterr().err for one in said[:1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "sessions,sesions"], "--parts sesions: there are sessions"),
        (["--threads", "0"], "--threads 0: must be at least 1"),
        (["--ssd", "/nowhere"], "--ssd /nowhere: is not a folder"),
        (["--clock", "sun"], "invalid choice: 'sun'"),
        (["--azure", "/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_wrong_options_are_named(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.serving", *arguments])
    with pytest.raises(SystemExit) as ended:
        serving.main()
    assert ended.value.code not in (0, None)
    assert said in capsys.readouterr().err + str(ended.value.code)


def test_the_processors_clock_counts_work_and_idle_time() -> None:
    clock = Clock("processor")
    begun_s = clock.now_s()
    clock.idle(5.0)
    assert 5.0 <= clock.now_s() - begun_s < 5.5
    sum(range(300_000))
    assert clock.now_s() > begun_s + 5.0


def test_quick_measures_the_headline_at_every_load() -> None:
    for amount in (serving.QUICK, serving.FULL):
        assert {serving.VLLM, serving.ALL} <= set(amount.swept) <= set(amount.names)
        assert serving.RECOMPUTE in amount.names
        assert amount.other_load in amount.loads
