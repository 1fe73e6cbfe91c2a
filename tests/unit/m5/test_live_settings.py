"""A config read again by SIGHUP: what takes effect, what waits for a restart and is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import ConfigError
from tiermem.m5.daemon import Daemon
from tiermem.m5.settings import M5Settings
from tiermem.m5.switches import NUMA_BALANCING

from tests.unit.m5.daemons import settings
from tests.unit.m5.damon_tree import with_damon


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    tree, _ = with_damon(tmp_path)
    return Daemon(settings(tmp_path, dry_run=True), tree)


def changed(daemon: Daemon, **tables: dict[str, Any]) -> M5Settings:
    """The daemon's settings with keys of tables changed, as in a file read again."""
    old = daemon.settings
    tables = {
        name: {**getattr(old, name).model_dump(mode="json"), **keys}
        for name, keys in tables.items()
    }
    return M5Settings.model_validate(old.model_dump(mode="json") | tables)


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("promoter", {"kind": "auto"}),
        ("promoter", {"device": "/dev/other"}),
        ("kernel", {"numa_balancing": "leave"}),
        ("demotion", {"method": "off"}),
        ("policy", {"name": "mine:Policy"}),
        ("nominator", {"mode": "hpt"}),
        ("tracker", {"kind": "pac"}),
    ],
)
def test_a_key_that_needs_a_restart_is_named_and_stays(
    daemon: Daemon, table: str, keys: dict[str, Any]
) -> None:
    before = daemon.settings
    [name] = keys
    assert daemon.reload(changed(daemon, **{table: keys})) == [f"{table}.{name}"]
    assert daemon.settings == before


def test_one_deep_inside_is_named_in_full(daemon: Daemon) -> None:
    again = changed(daemon, tracker={"damon": {"sample_us": 1000}})
    assert daemon.reload(again) == ["tracker.damon.sample_us"]


def test_live_keys_of_a_table_take_effect_beside_fixed_ones(daemon: Daemon) -> None:
    again = changed(
        daemon,
        demotion={"swappiness": 7, "method": "off"},
        policy={"options": {"depth": 3}},
        promoter={"rate_limit_MBps": 50.0},
        nominator={"mode": "hpt", "min_visits": 3},
    )
    assert daemon.reload(again) == ["nominator.mode", "demotion.method"]
    assert daemon.engine.swappiness == 7
    policy = daemon.engine.parts.policy.settings
    assert (policy.options, policy.nominator.min_visits) == ({"depth": 3}, 3)
    assert daemon.engine.parts.limiter.limit_MBps == 50.0


def test_the_end_of_a_dry_run_sets_the_switches_and_nothing_competes_any_more(
    daemon: Daemon,
) -> None:
    daemon.start()
    assert any("numa_balancing is 1" in warning for warning in daemon.warnings)
    again = daemon.settings.model_copy(update={"dry_run": False})
    assert daemon.reload(again) == []
    assert daemon.switches.read(NUMA_BALANCING) == "0"
    assert daemon.warnings == []
    daemon.stop()
    assert daemon.switches.read(NUMA_BALANCING) == "1"


def test_set_takes_live_keys_only(daemon: Daemon) -> None:
    assert daemon.change("demotion.swappiness", "5").demotion.swappiness == 5
    for key, value in (("promoter.kind", "auto"), ("nominator.mode", "hpt")):
        with pytest.raises(ConfigError, match=key):
            daemon.change(key, value)
