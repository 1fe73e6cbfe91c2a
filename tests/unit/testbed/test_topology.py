"""Topologies: what can be said in TOML, and what is answered to what cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import ConfigError
from tiermem.testbed.topology import load_topology, parse_size, topology_names

MIB, GIB = 1 << 20, 1 << 30


def test_the_testbed_comes_with_three() -> None:
    assert topology_names() == ["one-host", "three-hosts", "two-hosts"]


def test_one_host_has_dram_and_cxl_memory_as_a_node() -> None:
    topology = load_topology("one-host")
    assert list(topology.hosts) == ["a"]
    host = topology.hosts["a"]
    assert (host.cpus, host.dram, host.cxl, host.cxl_use) == (2, GIB, 2 * GIB, "system-ram")


def test_two_hosts_share_memory_and_a_network() -> None:
    topology = load_topology("two-hosts")
    assert topology.shared_cxl
    assert topology.network is not None
    assert [str(topology.network.address_of(n)) for n in (0, 1)] == ["10.77.0.1/24", "10.77.0.2/24"]
    assert {host.cxl_use for host in topology.hosts.values()} == {"devdax"}


def test_of_three_hosts_one_has_neither_nic_nor_drive() -> None:
    topology = load_topology("three-hosts")
    assert topology.shared_cxl
    has = {name: (host.nics, host.nvme > 0) for name, host in topology.hosts.items()}
    assert has == {"a": (0, False), "b": (1, True), "c": (2, False)}
    assert topology.nics == 3


def test_settings_change_every_host() -> None:
    topology = load_topology("two-hosts", dram="768M", cxl="2G", cpus=3)
    assert {(h.dram, h.cxl, h.cpus) for h in topology.hosts.values()} == {(768 * MIB, 2 * GIB, 3)}


@given(st.integers(1, 1 << 20), st.sampled_from(["K", "M", "G", "k", "MiB", "gB"]))
def test_sizes_with_units(number: int, unit: str) -> None:
    factor = {"K": 1 << 10, "M": MIB, "G": GIB}[unit[0].upper()]
    assert parse_size(f"{number}{unit}") == number * factor
    assert parse_size(number * factor) == number * factor


@pytest.mark.parametrize("wrong", ["", "1.5G", "-1G", "1T", "many", None, True, 1.0])
def test_what_is_not_a_size(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a size such as 768M or 2G"):
        parse_size(wrong)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"dram": "128M"}, "hosts.a: dram must be at least 256M"),
        ({"dram": 300 * MIB + 1}, "dram must be a multiple of 2M"),
        ({"cxl": "300M"}, "cxl must be a multiple of 256M"),
        ({"nvme": 1000}, "nvme must be a multiple of 1M, or 0 for no drive"),
        ({"nics": 9}, "hosts.a.nics: Input should be less than or equal to 8"),
        ({"cpus": 0}, "hosts.a.cpus: Input should be greater than or equal to 1"),
        ({"dram": "big"}, "hosts.a.dram: 'big' is not a size"),
        ({"cxl_use": "swap"}, "hosts.a.cxl_use: Input should be 'system-ram', 'devdax' or 'none'"),
        (
            {"ram": "1G"},
            "a host has no setting 'ram'; allowed: cpus, dram, cxl, cxl_use, nvme, nics",
        ),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        load_topology("one-host", **settings)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[hosts", "Expected"),
        ("", "hosts: Field required"),
        ("[hosts]", "hosts: Dictionary should have at least 1 item"),
        ("[hosts.a]\ncolour = 1", "hosts.a.colour: Extra inputs are not permitted"),
        ("[hosts.UPPER]", "host name 'UPPER': small letters"),
        ("shared_cxl = true\n[hosts.a]", "shared CXL memory cannot be system-ram"),
        (
            "shared_cxl = true\n[hosts.a]\ncxl='1G'\ncxl_use='devdax'\n"
            "[hosts.b]\ncxl='2G'\ncxl_use='devdax'",
            "must give it the same size",
        ),
        ("[network]\naddress='10.0.0.0/24'\n[hosts.a]", "a network joins two hosts"),
        (
            "[network]\naddress='10.0.0.0/24'\n[hosts.a]\nnics=1\n[hosts.b]",
            "a pod has a network, or hosts with nics: not both",
        ),
        (
            "[network]\naddress='10.0.0.1/24'\n[hosts.a]\n[hosts.b]",
            "network.address: Input is not a valid",
        ),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        load_topology(file)
    assert str(file) in str(caught.value)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[hosts.left]\ncpus = 4\n")
    topology = load_topology(file)
    assert (topology.name, topology.hosts["left"].cpus) == ("mine", 4)


@pytest.mark.parametrize("name", ["four-hosts", "/no/such/file.toml"])
def test_a_topology_that_is_not_there(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"four-hosts.*one-host, three-hosts, two-hosts|No such file"
    ):
        load_topology(name)
