"""What `tiermem doctor` sees of Oasis on a host that uses it and on one that does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiermem.layer.pool import create_pool
from tiermem.oasis.readiness import read_oasis_facts

LETS_IT_SPEAK = Path(__file__).parents[3] / "userspace/systemd/tiermem-oasis-etcd.conf"
NIC = '[[nic]]\ninterface = "{}"\ncapacity = "1Gbit"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "oasis.toml"
    path.write_text(f'pool = "{tmp_path}/pool"\nsocket = "{tmp_path}/oasis.sock"\n')
    return path


def test_a_host_without_any_of_it_does_not_use_it(tmp_path: Path) -> None:
    assert read_oasis_facts(tmp_path / "no config", tmp_path / "not enabled") is None


def test_a_config_without_a_daemon(config: Path, tmp_path: Path) -> None:
    create_pool(tmp_path / "pool", hosts=1, entries=8, size=4 << 20)
    with config.open("a") as file:
        file.write(NIC.format("lo") + NIC.format("no-such0"))
    facts = read_oasis_facts(config, tmp_path / "not enabled")
    assert facts is not None
    assert facts.pool_trouble == ""
    assert facts.nic_troubles == ("no-such0: there is no such interface",)
    assert facts.merging_nics == ()
    assert "no oasis daemon is listening" in facts.daemon_trouble
    assert facts.has_tun == Path("/dev/net/tun").exists()
    if os.geteuid() != 0:
        assert facts.lacking == ("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN")


def test_a_config_that_is_wrong_is_the_daemons_trouble(config: Path, tmp_path: Path) -> None:
    config.write_text("hosts = 99\n")
    facts = read_oasis_facts(config, tmp_path / "not enabled")
    assert facts is not None
    assert f"{config}: hosts = 99" in facts.daemon_trouble


def test_what_of_etcd_is_not_right_is_told_of_each_endpoint(config: Path, tmp_path: Path) -> None:
    """And of the unit, which lets nobody reach them until it is told to."""
    with config.open("a") as file:
        file.write('state = "etcd"\netcd = ["http://127.0.0.1:1", "http://[::1]:1"]\n')
    enabled = tmp_path / "system/multi-user.target.wants/tiermem-oasis.service"
    enabled.parent.mkdir(parents=True)
    enabled.touch()
    facts = read_oasis_facts(config, enabled)
    assert facts is not None
    assert facts.etcd_versions == {}
    additions = tmp_path / "system/tiermem-oasis.service.d"
    first, second, unit = facts.etcd_troubles
    assert first == "etcd at http://127.0.0.1:1: Connection refused"
    assert second.startswith("etcd at http://[::1]:1: ")
    assert unit == f"the unit lets oasisd speak to no host: {additions}/etcd.conf is not there"
    additions.mkdir()
    (additions / "etcd.conf").write_bytes(LETS_IT_SPEAK.read_bytes())
    again = read_oasis_facts(config, enabled)
    assert again is not None
    assert again.etcd_troubles == (first, second)
