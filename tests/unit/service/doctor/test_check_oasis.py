"""Each check of Oasis on a host that has what it asks for, on one that lacks just that, and on
one that does not use it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tiermem.service.doctor import CHECKS, OasisFacts, Status, check_oasis, read_facts

WELL = OasisFacts(
    config=Path("/etc/tiermem/oasis.toml"),
    has_tun=True,
    lacking=(),
    nic_troubles=(),
    merging_nics=(),
    block_device_trouble="",
    io_uring_trouble="",
    ssd_troubles=(),
    pool=Path("/dev/dax1.0"),
    pool_trouble="",
    daemon_trouble="",
    etcd_versions={"https://10.0.0.1:2379": "3.4.23"},
    etcd_troubles=(),
)
FACTS = read_facts()
LACKING: list[tuple[str, dict[str, Any], str]] = [
    ("tun", {"has_tun": False}, "modprobe tun"),
    ("net-rights", {"lacking": ("CAP_NET_RAW",)}, "--cap-add"),
    ("pooled-nics", {"nic_troubles": ("eth1: is down, or has no link",)}, "ip link set"),
    ("nic-offloads", {"merging_nics": ("eth1", "eth2")}, "ethtool -K eth2 lro off"),
    ("block-devices", {"block_device_trouble": "is not there"}, "modprobe ublk_drv"),
    ("io-uring", {"io_uring_trouble": "is 2"}, "sysctl kernel.io_uring_disabled"),
    ("pooled-ssds", {"ssd_troubles": ("/dev/nvme0n1: in use",)}, "tiermem oasis format-ssd"),
    ("oasis-pool", {"pool_trouble": "/dev/dax1.0: is no pool"}, "tiermem pool create /dev/dax1.0"),
    ("oasis-etcd", {"etcd_troubles": ("etcd at http://10.0.0.1:2379: gone",)}, "systemctl start"),
    ("oasis-daemon", {"daemon_trouble": "nobody listens"}, "systemctl restart tiermem-oasis"),
]
NAMES = [name for name, look in CHECKS.items() if look.__module__ == check_oasis.__name__]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("oasis", [WELL, None], ids=["used", "not used"])
def test_nothing_is_to_be_done_where_all_is_well(name: str, oasis: OasisFacts | None) -> None:
    finding = CHECKS[name](dataclasses.replace(FACTS, oasis=oasis))
    assert (finding.name, finding.status, finding.fix) == (name, Status.OK, "")


@pytest.mark.parametrize(("name", "changes", "fix"), LACKING, ids=[one[0] for one in LACKING])
def test_what_is_lacking_is_named_with_what_to_do(
    name: str, changes: dict[str, Any], fix: str
) -> None:
    oasis = dataclasses.replace(WELL, **changes)
    finding = CHECKS[name](dataclasses.replace(FACTS, oasis=oasis))
    assert finding.status is Status.WARN
    assert fix in finding.fix
    assert finding.why


def test_each_of_them_can_complain() -> None:
    assert [name for name, *_ in LACKING] == NAMES
