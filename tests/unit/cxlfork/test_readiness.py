"""What `tiermem doctor` sees of CXLfork on hosts that use it and on one that does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tiermem.cxlfork.readiness import read_fork_facts
from tiermem.layer.pool import create_pool


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fork.toml"
    path.write_text(f'pool = "{tmp_path}/pool"\nsocket = "{tmp_path}/fork.sock"\n')
    return path


def test_a_host_without_any_of_it_does_not_use_it(config: Path, tmp_path: Path) -> None:
    assert read_fork_facts(config, tmp_path / "not enabled") is None


def test_a_pool_whose_daemon_does_not_run(config: Path, tmp_path: Path) -> None:
    create_pool(tmp_path / "pool", hosts=1, entries=8, size=4 << 20)
    facts = read_fork_facts(config, tmp_path / "not enabled")
    assert facts is not None
    assert facts.pool_mode is not None
    assert stat.S_ISREG(facts.pool_mode)
    assert facts.pool_trouble == ""
    assert "no fork daemon is listening" in facts.daemon_trouble


def test_a_service_that_is_enabled_without_a_pool(config: Path, tmp_path: Path) -> None:
    (tmp_path / "enabled").touch()
    facts = read_fork_facts(config, tmp_path / "enabled")
    assert facts is not None
    assert (facts.pool, facts.pool_mode) == (tmp_path / "pool", None)
    assert f"{tmp_path}/pool" in facts.pool_trouble


def test_a_config_that_is_wrong_is_the_daemons_trouble(config: Path, tmp_path: Path) -> None:
    config.write_text("host = 99\n")
    (tmp_path / "enabled").touch()
    facts = read_fork_facts(config, tmp_path / "enabled")
    assert facts is not None
    assert f"{config}: host = 99" in facts.daemon_trouble
