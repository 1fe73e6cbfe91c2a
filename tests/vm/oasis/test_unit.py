"""oasisd's systemd unit, under real systemd: its sandbox lets it do what it is for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.cxlfork.services import DEVICE, LEASE_S
from tests.vm.guest_python import run_json
from tests.vm.oasis.unit import UNIT, install, remove

SCRIPT = "tests/vm/oasis/in_guest/oasis_unit.py"
CONFIG = """
hosts = 1
[[nic]]
interface = "nic0"
capacity = "10Gbit"
[[ssd]]
path = "/dev/nvme0n1"
iops = 1000
"""
PREPARE = f"""
modprobe -a nvme ublk_drv
tiermem oasis format-ssd /dev/nvme0n1 --force
tiermem pool create {DEVICE} --hosts 1 --lease {LEASE_S} --force
"""
REMOVE = """
ip link del nic0
ip netns del web
ip netns del outside
"""


@pytest.fixture(scope="module")
def unit(dax_guest_lts: Guest) -> Iterator[Guest]:
    """A guest with the unit, its pool in CXL memory, and not started."""
    install(dax_guest_lts, CONFIG)
    dax_guest_lts.check(["bash", "-ec", PREPARE], timeout_s=300)
    yield dax_guest_lts
    remove(dax_guest_lts)
    dax_guest_lts.exec(["bash", "-c", REMOVE], timeout_s=120)


def test_systemd_finds_nothing_wrong_with_it(unit: Guest) -> None:
    verified = unit.check(["systemd-analyze", "verify", UNIT], timeout_s=120)
    assert verified.stderr + verified.stdout == ""


def test_it_serves_is_killed_serves_again_and_leaves(unit: Guest) -> None:
    seen = run_json(unit, SCRIPT, timeout_s=900)
    said = seen.pop("log")
    assert "no answer within" in seen.pop("etcd from the unit"), said
    assert "Connection refused" in seen.pop("etcd with what lets it"), said
    assert seen == {
        "served": True,
        "ping": True,
        "disk": True,
        "restarted": True,
        "served again": True,
        "ping again": True,
        "interfaces": ["lo", "eth0"],
        "disk again": True,
        "data": True,
        "interfaces after": ["lo"],
        "result": "success",
        "socket": False,
    }, said
