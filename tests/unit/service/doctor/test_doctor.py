"""Each check on a host that has what it asks for, and on one that lacks just that."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path
from typing import Any

import pytest
from tiermem.layer.topology import DamonState, Topology
from tiermem.service.doctor import (
    CHECKS,
    DaxDevice,
    Facts,
    Finding,
    ForkFacts,
    Status,
    check_oasis,
    check_serving,
    examine,
    read_facts,
)

from tests.unit.layer.trees import machine, node, plant

SYSTEM_RAM = DaxDevice("dax0.0", "kmem", 1, 1 << 30)
FORK = ForkFacts(Path("/dev/dax1.0"), stat.S_IFCHR, pool_trouble="", daemon_trouble="")


def _healthy_tree() -> dict[str, Any]:
    return machine(
        node(0, cpus="0-1", blocks=[0, 1], distance="10 20"),
        node(
            1,
            blocks=[8, 9],
            distance="20 10",
            zone="Movable",
            free_kb=200_000,
            access={"access1": {"read_latency": 250, "read_bandwidth": 30000}},
        ),
        tiers={4: "0", 22: "1"},
    ) | {
        "/proc/sys/kernel/numa_balancing": "0\n",
        "/proc/sys/vm/zone_reclaim_mode": "0\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds": "0\n",
        "/sys/module/tiermem_hpt/initstate": "live\n",
        "/sys/module/tiermem_promote/initstate": "live\n",
        "/sys/module/tiermem_image/initstate": "live\n",
        "/sys/bus/pci/devices/0000:00:04.0/vendor": "0x1af4\n",
        "/sys/bus/pci/devices/0000:00:04.0/device": "0x1110\n",
        "/sys/bus/cxl/devices/mem0/serial": "0x1\n",
        "/sys/bus/dax/devices/dax0.0/size": "1073741824\n",
        "/sys/bus/dax/devices/dax0.0/target_node": "1\n",
        "/sys/bus/dax/devices/dax0.0/driver": {"link": "kmem"},
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory\n",
    }


@pytest.fixture
def healthy(tmp_path: Path) -> Facts:
    facts = read_facts(*plant(_healthy_tree(), tmp_path))
    # These are of this process and of daemons, and not of the tree.
    return dataclasses.replace(facts, is_root=True, has_group=True, has_native=True, fork=FORK)


def _with(facts: Facts, **changes: Any) -> Facts:
    return dataclasses.replace(facts, **changes)


def _with_topology(facts: Facts, **changes: Any) -> Facts:
    return _with(facts, topology=dataclasses.replace(facts.topology, **changes))


def _with_switches(facts: Facts, **changes: Any) -> Facts:
    return _with_topology(facts, switches=dataclasses.replace(facts.topology.switches, **changes))


def _dram_only(topology: Topology) -> dict[str, Any]:
    return {"nodes": topology.nodes[:1], "tiers": topology.tiers[:1]}


def _with_fork(facts: Facts, **changes: Any) -> Facts:
    return _with(facts, fork=dataclasses.replace(FORK, **changes))


def _find(name: str, facts: Facts) -> Finding:
    finding = CHECKS[name](facts)
    assert finding.name == name
    return finding


def test_facts_of_a_tree(healthy: Facts) -> None:
    assert healthy.loaded_modules == {"tiermem_hpt", "tiermem_promote", "tiermem_image"}
    assert healthy.tracker_devices == ("0000:00:04.0",)
    assert healthy.cxl_memory_devices == ("mem0",)
    assert healthy.dax_devices == (SYSTEM_RAM,)
    assert healthy.cgroup_controllers == {"cpuset", "cpu", "io", "memory"}


def test_a_healthy_host_has_nothing_to_change(healthy: Facts) -> None:
    findings = examine(healthy)
    assert [f.name for f in findings if f.status is not Status.OK] == []
    assert [f.name for f in findings] == list(CHECKS)
    assert all(f.seen and not f.why and not f.fix for f in findings)


CASES: list[tuple[str, Status, str, Any]] = [
    ("rights", Status.WARN, "sudo", lambda f: _with(f, is_root=False)),
    ("kernel", Status.FAIL, "6.12", lambda f: _with_switches(f, kernel_release="5.10.0-30-amd64")),
    ("kernel", Status.WARN, "6.12", lambda f: _with_switches(f, kernel_release="6.1.0-40-amd64")),
    ("kernel", Status.FAIL, "6.12", lambda f: _with_switches(f, kernel_release="")),
    ("native", Status.FAIL, "native/build.py", lambda f: _with(f, has_native=False)),
    (
        "tracker-module",
        Status.WARN,
        "modprobe tiermem_hpt",
        lambda f: _with(f, loaded_modules=frozenset()),
    ),
    (
        "promote-module",
        Status.WARN,
        "modprobe tiermem_promote",
        lambda f: _with(f, loaded_modules=frozenset()),
    ),
    ("cgroup", Status.WARN, "unified", lambda f: _with(f, cgroup_controllers=None)),
    ("cgroup", Status.WARN, "unified", lambda f: _with(f, cgroup_controllers=frozenset({"cpu"}))),
    (
        "image-module",
        Status.WARN,
        "modprobe tiermem_image",
        lambda f: _with(f, loaded_modules=frozenset()),
    ),
    (
        "pool",
        Status.WARN,
        "daxctl reconfigure-device --mode=devdax dax1.0",
        lambda f: _with_fork(f, pool_mode=None, pool_trouble="/dev/dax1.0: is not there"),
    ),
    (
        "pool",
        Status.WARN,
        "tiermem pool create /var/pool --hosts 2 --size 1G",
        lambda f: _with_fork(f, pool=Path("/var/pool"), pool_mode=None, pool_trouble="is not"),
    ),
    (
        "pool",
        Status.WARN,
        "tiermem pool create /dev/dax1.0 --hosts 2",
        lambda f: _with_fork(f, pool_trouble="/dev/dax1.0: is not a pool"),
    ),
    (
        "fork-daemon",
        Status.WARN,
        "systemctl restart tiermem-fork",
        lambda f: _with_fork(f, daemon_trouble="no fork daemon is listening"),
    ),
    (
        "slow-memory",
        Status.FAIL,
        "M5 is not wanted here",
        lambda f: _with(
            _with_topology(f, **_dram_only(f.topology)),
            dax_devices=(DaxDevice("dax1.0", "device_dax", 1, 1 << 30),),
        ),
    ),
    ("group", Status.WARN, "groupadd --system tiermem", lambda f: _with(f, has_group=False)),
    (
        "slow-memory",
        Status.FAIL,
        "daxctl reconfigure-device --mode=system-ram dax2.0",
        lambda f: _with(
            _with_topology(f, **_dram_only(f.topology)),
            dax_devices=(DaxDevice("dax2.0", "device_dax", 1, 1 << 30),),
        ),
    ),
    (
        "slow-memory",
        Status.FAIL,
        "daxctl online-memory dax0.0",
        lambda f: _with_topology(f, **_dram_only(f.topology)),
    ),
    (
        "slow-memory",
        Status.FAIL,
        "cxl create-region -t ram -d decoder0.0 -m mem0 -w 1",
        lambda f: _with(_with_topology(f, **_dram_only(f.topology)), dax_devices=()),
    ),
    (
        "slow-memory",
        Status.FAIL,
        "tiermem testbed up",
        lambda f: _with(
            _with_topology(f, **_dram_only(f.topology)), dax_devices=(), cxl_memory_devices=()
        ),
    ),
    (
        "tiers",
        Status.FAIL,
        "specific purpose",
        lambda f: _with_topology(
            f, tiers=(dataclasses.replace(f.topology.tiers[0], nodes=(0, 1)),)
        ),
    ),
    (
        "tiers",
        Status.FAIL,
        "remove efi=nosoftreserve",
        lambda f: _with(
            _with_topology(f, tiers=(dataclasses.replace(f.topology.tiers[0], nodes=(0, 1)),)),
            kernel_arguments=("quiet", "efi=nosoftreserve"),
        ),
    ),
    ("tiers", Status.FAIL, "6.1 or newer", lambda f: _with_topology(f, tiers=())),
    (
        "tiers",
        Status.FAIL,
        "slow-memory",
        lambda f: _with_topology(f, **_dram_only(f.topology)),
    ),
    (
        "zone",
        Status.WARN,
        "reconfigure-device --force --mode=devdax dax0.0",
        lambda f: _with_topology(
            f,
            nodes=(
                f.topology.nodes[0],
                dataclasses.replace(f.topology.nodes[1], zones=("Movable", "Normal")),
            ),
        ),
    ),
    (
        "zone",
        Status.WARN,
        "specific purpose",
        lambda f: _with(
            _with_topology(
                f,
                nodes=(
                    f.topology.nodes[0],
                    dataclasses.replace(f.topology.nodes[1], zones=("Normal",)),
                ),
            ),
            dax_devices=(),
        ),
    ),
    (
        "room",
        Status.WARN,
        "swapon",
        lambda f: _with_topology(
            f,
            nodes=(f.topology.nodes[0], dataclasses.replace(f.topology.nodes[1], free_bytes=4096)),
        ),
    ),
    ("hugetlb", Status.WARN, "nr_hugepages", lambda f: _with_switches(f, hugetlb_pages=3)),
    (
        "demotion",
        Status.WARN,
        "echo 1 > /sys/kernel/mm/numa/demotion_enabled",
        lambda f: _with_topology(
            f, demotion=dataclasses.replace(f.topology.demotion, is_enabled=False)
        ),
    ),
    (
        "demotion",
        Status.FAIL,
        "CONFIG_MIGRATION",
        lambda f: _with_topology(
            f, demotion=dataclasses.replace(f.topology.demotion, is_enabled=None)
        ),
    ),
    (
        "numa-balancing",
        Status.WARN,
        "echo 0 > /proc/sys/kernel/numa_balancing",
        lambda f: _with_switches(f, numa_balancing=2),
    ),
    (
        "numa-balancing",
        Status.WARN,
        "echo 0 > /proc/sys/kernel/numa_balancing",
        lambda f: _with_switches(f, numa_balancing=1),
    ),
    ("damon", Status.WARN, "CONFIG_DAMON_SYSFS", lambda f: _with_switches(f, damon=None)),
    (
        "damon",
        Status.WARN,
        "sudo tiermem doctor",
        lambda f: _with_switches(f, damon=None, hidden=frozenset({"damon"})),
    ),
    (
        "damon",
        Status.WARN,
        "echo off > /sys/kernel/mm/damon/admin/kdamonds/1/state",
        lambda f: _with_switches(f, damon=DamonState(kdamonds=2, running=(1,))),
    ),
    (
        "damon",
        Status.WARN,
        "echo N > /sys/module/damon_reclaim/parameters/enabled",
        lambda f: _with_switches(f, damon_reclaim=True),
    ),
    (
        "huge-pages",
        Status.WARN,
        "echo madvise >",
        lambda f: _with_switches(f, thp_enabled="always"),
    ),
    (
        "zone-reclaim",
        Status.WARN,
        "echo 0 > /proc/sys/vm/zone_reclaim_mode",
        lambda f: _with_switches(f, zone_reclaim_mode=1),
    ),
]


@pytest.mark.parametrize(("name", "status", "fix", "change"), CASES)
def test_what_is_missing_is_named_with_a_reason_and_a_command(
    healthy: Facts, name: str, status: Status, fix: str, change: Any
) -> None:
    finding = _find(name, change(healthy))
    assert finding.status is status
    assert fix in finding.fix
    assert finding.seen
    assert finding.why


def test_every_check_can_complain() -> None:
    """A check that never says anything else than ok explains nothing; `speed` only informs.
    Those of Oasis and of serving are in files of their own."""
    elsewhere = {check_oasis.__name__, check_serving.__name__}
    others = {name for name, look in CHECKS.items() if look.__module__ not in elsewhere}
    assert {name for name, *_ in CASES} == others - {"speed"}


def test_a_tracker_device_that_cannot_be_read_names_the_way_without(healthy: Facts) -> None:
    found = _find("tracker-module", _with(healthy, loaded_modules=frozenset()))
    assert found.status is Status.WARN
    assert "m5 does not start" in found.why
    assert "modprobe tiermem_hpt" in found.fix
    assert 'tracker.kind = "damon"' in found.fix


@pytest.mark.parametrize("name", ["image-module", "pool", "fork-daemon"])
def test_a_host_that_does_not_use_remote_fork_lacks_nothing_of_it(
    healthy: Facts, name: str
) -> None:
    facts = _with(healthy, fork=None, loaded_modules=frozenset())
    assert "not used here" in _find(name, facts).seen
    assert _find(name, facts).status is Status.OK


def test_a_pool_that_is_a_file_needs_no_image_module(healthy: Facts) -> None:
    facts = _with(_with_fork(healthy, pool_mode=stat.S_IFREG), loaded_modules=frozenset())
    assert _find("image-module", facts).status is Status.OK


def test_a_host_without_a_tracker_device_needs_no_tracker_module(healthy: Facts) -> None:
    facts = _with(healthy, loaded_modules=frozenset(), tracker_devices=())
    assert _find("tracker-module", facts).status is Status.OK


def test_a_full_slow_tier_is_fine_with_swap(healthy: Facts) -> None:
    nodes = tuple(dataclasses.replace(n, free_bytes=0) for n in healthy.topology.nodes)
    facts = _with_switches(_with_topology(healthy, nodes=nodes), swap_total_bytes=1 << 30)
    assert _find("room", facts).status is Status.OK


def test_speeds_are_shown_with_their_units(healthy: Facts) -> None:
    assert _find("speed", healthy).seen == "node 1: 250 ns, 30.0 GB/s"
    nodes = tuple(dataclasses.replace(n, access=None) for n in healthy.topology.nodes)
    assert "no latencies" in _find("speed", _with_topology(healthy, nodes=nodes)).seen
