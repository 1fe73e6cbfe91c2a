"""The command bench.serving, without its engines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import TiermemError

from bench import serving
from bench.serving_clock import Clock
from bench.serving_engine import Engine
from bench.serving_parts import PARTS, Amount, Found, Setting
from bench.serving_play import Answered, Played
from bench.serving_sessions import Load
from bench.serving_traces import load_source
from bench.serving_watch import MemoryUse
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


class PretendedEngines:
    """In place of processes with engines: each answers after a time that its name decides."""

    def __init__(self, *, restores: bool = True) -> None:
        self._restores = restores

    def running(self, engines: Sequence[Engine]) -> dict[str, PretendedEngine]:
        return {one.name: PretendedEngine(one, self._restores) for one in engines}


@dataclass
class PretendedEngine:
    engine: Engine
    restores: bool

    def play(self, load: Load, *, is_free: bool = False) -> Played:
        # Whoever has tiers is faster, and all grow slower with the rate.
        slow = (0.2 if self.engine.tiers else 1.0) * (1 + load.rate) ** 8
        requests = [
            Answered(
                one,
                one + slow,
                one + slow + 1,
                300,
                200,
                128 * bool(self.engine.tiers),
                10,
                {"memory": 3, "ssd": 1} if self.engine.tiers else {},
            )
            for one in (load.warm_s + 0.1 * number for number in range(20))
        ]
        tiers = {"memory hits": 60.0, "cxl hits": 5.0, "memory restored": 80.0}
        if self.restores:
            tiers["ssd hits"] = 20.0
        return Played(
            self.engine.name,
            load.rate,
            load.warm_s,
            20 + slow if load.rate == 0 else load.end_s - load.warm_s,
            20 + slow,
            (1.0, 1.0),
            requests,
            MemoryUse(0.98, 3.0, 0.7, 4.0),
            1000,
            0,
            tiers if self.engine.tiers else {},
            {"1.0": [1, 2, 3]} if is_free else {},
        )


def played_part(
    name: str, tmp_path: Path, amount: Amount = serving.QUICK, *, restores: bool = True
) -> Found:
    workers: Any = PretendedEngines(restores=restores)
    setting = Setting(load_source(None, None), workers, tmp_path)
    found = PARTS[name](amount, setting, lambda _what: None)
    assert all(table.row_count for table in found.tables)
    return found


def test_sessions_are_played_by_all_configurations(tmp_path: Path) -> None:
    found = played_part("sessions", tmp_path, serving.FULL)
    full = serving.FULL
    others = len(full.names) - len(full.swept)
    assert len(found.runs) == len(full.loads) * len(full.swept) + others
    assert found.figures["ttft_p95_reduction"] == pytest.approx(0.8, abs=0.01)
    assert found.figures["throughput_over_vllm"] >= 1
    assert 0 < found.figures["ssd_hit_share"] < 1
    assert found.figures["kv_memory_use"] == 0.98


def test_who_plays_no_load_is_not_started(tmp_path: Path) -> None:
    amount = replace(serving.FULL, loads=(0.4, 4.0))
    assert amount.played_names == (serving.RECOMPUTE, *amount.swept)
    found = played_part("sessions", tmp_path, amount)
    assert len(found.runs) == len(amount.loads) * len(amount.swept)


def test_fits_and_wrong_have_their_figures(tmp_path: Path) -> None:
    loss = played_part("fits", tmp_path).figures["throughput_loss_when_it_fits"]
    assert loss == pytest.approx(1 - 21 / 20.2)
    assert played_part("wrong", tmp_path).figures == {"wrong_tokens": 0}


def test_tokens_say_nothing_where_no_block_was_restored(tmp_path: Path) -> None:
    with pytest.raises(TiermemError, match="sched: none from ssd"):
        played_part("wrong", tmp_path, serving.FULL, restores=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "sessions,sesions"], "argument --parts: sesions: there are sessions"),
        (["--threads", "0"], "--threads 0: must be at least 1"),
        (["--ssd", "/nowhere"], "--ssd /nowhere: is not a folder"),
        (["--loads", "1,O.7"], "'1,O.7': numbers above 0 and up to 100 are allowed"),
        (["--loads", "-1"], "'-1': numbers above 0"),
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
        assert amount.other_load in (*amount.loads, None)
