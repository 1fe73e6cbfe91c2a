"""Nodes, tiers and demotion, from trees written down here and from recorded machines."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import TiermemError
from tiermem.layer.nodes import PhysRange, merge_ranges
from tiermem.layer.switches import DamonState
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import Tier, Topology, free_bytes, read_topology

from tests.unit.layer.ordinary_user import as_ordinary_user
from tests.unit.layer.trees import BLOCK_BYTES, machine, node, plant, recorded

CXL_ACCESS = {
    "access0": {"read_latency": 1, "read_bandwidth": 9},
    "access1": {
        "read_latency": 250,
        "write_latency": 260,
        "read_bandwidth": 30000,
        "write_bandwidth": 0,
    },
}
REGION = {
    "/sys/bus/cxl/devices/region0/resource": "0x40000000\n",
    "/sys/bus/cxl/devices/region0/size": "0x20000000\n",
    "/sys/bus/cxl/devices/region0/mode": "ram\n",
}


def _read(tree: dict[str, Any], root: Path) -> Topology:
    return read_topology(*plant(tree, root))


@pytest.fixture
def cxl_machine() -> dict[str, Any]:
    """DRAM node 1 with CPUs, CXL node 0: numbers say nothing about speed."""
    dram = node(1, cpus="0-1", blocks=[0, 1, 3], distance="20 10", zone="Normal", free_kb=4096)
    cxl = node(0, blocks=[8, 9], distance="10 20", zone="Movable", access=CXL_ACCESS)
    return machine(cxl, dram, tiers={4: "1", 22: "0"}) | REGION


def test_tiers_are_fastest_first_whatever_the_nodes_numbers(
    cxl_machine: dict[str, Any], tmp_path: Path
) -> None:
    topology = _read(cxl_machine, tmp_path)
    assert topology.tiers == (Tier(4, (1,)), Tier(22, (0,)))
    assert topology.is_tiered
    assert topology.top_tier == topology.tiers[0]
    assert (topology.tier_of(1), topology.tier_of(0)) == (0, 1)
    assert topology.demotion.is_enabled
    assert topology.demotion.targets == {1: (0,)}


def test_a_cxl_node_is_known_by_its_region(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    topology = _read(cxl_machine, tmp_path)
    cxl, dram = topology.node(0), topology.node(1)
    assert cxl.is_cxl
    assert cxl.is_cpuless
    assert cxl.is_movable_only
    assert cxl.cxl_regions[0].range == PhysRange(8 * BLOCK_BYTES, 12 * BLOCK_BYTES)
    assert not (dram.is_cxl or dram.is_cpuless or dram.is_movable_only)


def test_speed_is_what_cpus_see_in_bytes_and_ns(
    cxl_machine: dict[str, Any], tmp_path: Path
) -> None:
    topology = _read(cxl_machine, tmp_path)
    access = topology.node(0).access
    assert access is not None
    assert (access.read_latency_ns, access.write_latency_ns) == (250, 260)
    assert access.read_bandwidth_Bps == 30_000_000_000
    assert access.write_bandwidth_Bps is None
    assert topology.node(1).access is None


def test_memory_lies_in_ranges_and_frames(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    topology = _read(cxl_machine, tmp_path)
    dram = topology.node(1)
    assert dram.ranges == (
        PhysRange(0, 2 * BLOCK_BYTES),
        PhysRange(3 * BLOCK_BYTES, 4 * BLOCK_BYTES),
    )
    assert dram.total_bytes == 3 * BLOCK_BYTES
    assert dram.free_bytes == 4 << 20
    pages = BLOCK_BYTES // 4096
    assert topology.node_of_pfn(pages - 1) == 1
    assert topology.node_of_pfn(8 * pages) == 0
    with pytest.raises(TiermemError, match=r"page frame 0x10000: is in no node's memory"):
        topology.node_of_pfn(2 * pages)


def test_an_offline_block_is_no_memory(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    cxl_machine["/sys/devices/system/node/node0/memory9/state"] = "offline\n"
    assert _read(cxl_machine, tmp_path).node(0).ranges == (
        PhysRange(8 * BLOCK_BYTES, 9 * BLOCK_BYTES),
    )


def test_a_region_that_is_not_committed_is_left_out(
    cxl_machine: dict[str, Any], tmp_path: Path
) -> None:
    cxl_machine["/sys/bus/cxl/devices/region0/resource"] = "0xffffffffffffffff\n"
    assert not _read(cxl_machine, tmp_path).node(0).is_cxl


def test_hbm_dram_and_cxl_demote_to_the_nearest_of_the_next_tier(tmp_path: Path) -> None:
    """Two sockets, each with HBM, DRAM and CXL memory."""
    tree = machine(
        node(0, cpus="0-3", blocks=[0], distance="10 21 12 24 14 26"),
        node(1, cpus="4-7", blocks=[1], distance="21 10 24 12 26 14"),
        node(2, blocks=[2], distance="12 24 10 30 20 32"),
        node(3, blocks=[3], distance="24 12 30 10 32 20"),
        node(4, blocks=[4], distance="14 26 20 32 10 40"),
        node(5, blocks=[5], distance="26 14 32 20 40 10"),
        tiers={2: "2-3", 4: "0-1", 22: "4-5"},
    )
    topology = _read(tree, tmp_path)
    assert [tier.nodes for tier in topology.tiers] == [(2, 3), (0, 1), (4, 5)]
    assert topology.demotion.targets == {2: (0,), 3: (1,), 0: (4,), 1: (5,)}
    assert topology.top_tier.nodes == (0, 1)


def test_equally_near_nodes_are_all_targets(tmp_path: Path) -> None:
    tree = machine(
        node(0, cpus="0", blocks=[0], distance="10 20 20"),
        node(1, blocks=[1], distance="20 10 30"),
        node(2, blocks=[2], distance="20 30 10"),
        tiers={4: "0", 22: "1-2"},
    )
    assert _read(tree, tmp_path).demotion.targets == {0: (1, 2)}


def test_a_host_of_one_tier(tmp_path: Path) -> None:
    tree = machine(node(0, cpus="0", blocks=[0]), tiers={4: "0", 22: ""})
    topology = _read(tree, tmp_path)
    assert topology.tiers == (Tier(4, (0,)),)
    assert not topology.is_tiered
    assert topology.demotion.targets == {}


def test_a_kernel_without_tiers_or_switches(tmp_path: Path) -> None:
    tree = machine(node(0, cpus="0", blocks=[0]), tiers={})
    del tree["/sys/kernel/mm/numa/demotion_enabled"]
    topology = _read(tree, tmp_path)
    assert topology.tiers == ()
    assert topology.demotion.is_enabled is None
    assert topology.switches.numa_balancing is None
    assert topology.switches.damon is None
    with pytest.raises(TiermemError, match="node 0: is in no memory tier"):
        topology.tier_of(0)
    with pytest.raises(TiermemError, match="no memory tier has a node with CPUs"):
        _ = topology.top_tier


def test_errors_name_the_node_or_file(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TiermemError, match=r"node 7: is not online \(online: 0, 1\)"):
        _read(cxl_machine, tmp_path / "a").node(7)
    broken = dict(cxl_machine)
    del broken["/sys/devices/system/node/node0/meminfo"]
    with pytest.raises(TiermemError, match="node 0: is not online"):
        _read(broken, tmp_path / "b")
    broken["/sys/devices/system/node/node0/meminfo"] = "Node 0 MemTotal: 5 kB\n"
    with pytest.raises(TiermemError, match=r"node 0: .*does not say MemTotal and MemFree"):
        _read(broken, tmp_path / "c")
    with pytest.raises(TiermemError, match="shows no node; is this kernel built with CONFIG_NUMA"):
        _read({}, tmp_path / "d")


def test_free_memory_alone(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    tree = Tree(*plant(cxl_machine, tmp_path))
    assert free_bytes(tree, 1) == 4 << 20
    with pytest.raises(TiermemError, match="node 7: is not online"):
        free_bytes(tree, 7)


def test_the_kernels_switches(cxl_machine: dict[str, Any], tmp_path: Path) -> None:
    cxl_machine |= {
        "/proc/sys/kernel/numa_balancing": "3\n",
        "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps": "65536\n",
        "/proc/sys/vm/zone_reclaim_mode": "0\n",
        "/proc/swaps": (
            "Filename\tType\tSize\tUsed\tPriority\n"
            "/dev/vdb partition 1024 0 -2\n/swap\\040file file 1000 4 -3\n"
        ),
        "/sys/kernel/mm/lru_gen/enabled": "0x0007\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        "/sys/kernel/mm/transparent_hugepage/defrag": "always defer [madvise] never\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
        "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "1\n",
        "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds": "2\n",
        "/sys/kernel/mm/damon/admin/kdamonds/0/state": "off\n",
        "/sys/kernel/mm/damon/admin/kdamonds/1/state": "on\n",
        "/sys/module/damon_reclaim/parameters/enabled": "Y\n",
        "/sys/devices/system/memory/auto_online_blocks": "online_movable\n",
    }
    switches = _read(cxl_machine, tmp_path).switches
    assert switches.kernel_release == "6.12.1"
    assert switches.numa_balancing == 3
    assert switches.numa_balancing_rate_limit_MBps == 65536
    assert switches.lru_gen == 7
    assert (switches.thp_enabled, switches.thp_defrag) == ("always", "madvise")
    assert switches.zone_reclaim_mode == 0
    assert switches.auto_online_blocks == "online_movable"
    assert switches.damon == DamonState(kdamonds=2, running=(1,))
    assert (switches.damon_reclaim, switches.damon_lru_sort) == (True, None)
    assert switches.swap_total_bytes == 2024 * 1024
    assert switches.hugetlb_pages == 4


def test_ordinary_users_see_all_but_what_is_roots(cxl_machine: dict[str, Any]) -> None:
    """DAMON's files are for root alone; tiers, which every client needs, are for all."""
    damon = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"
    sort = "/sys/module/damon_lru_sort/parameters/enabled"
    cxl_machine |= {damon: "0\n", sort: "Y\n", "/sys/kernel/mm/lru_gen/enabled": "0x0007\n"}
    # Others may not enter the folders that pytest makes.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        trees = plant(cxl_machine, root)
        for name in (damon, sort):
            (root / name.lstrip("/")).chmod(0o600 if os.geteuid() == 0 else 0)

        def look() -> str:
            topology = read_topology(*trees)
            switches = topology.switches
            assert topology.tiers == (Tier(4, (1,)), Tier(22, (0,)))
            assert (switches.lru_gen, switches.damon, switches.damon_lru_sort) == (7, None, None)
            return ",".join(sorted(switches.hidden))

        assert as_ordinary_user(look) == "damon,damon_lru_sort"
        (root / "sys/kernel/mm/lru_gen/enabled").chmod(0)
        with pytest.raises(AssertionError, match=r"KernelError.*lru_gen/enabled"):
            as_ordinary_user(look)


def test_ordinary_users_can_look_at_this_machine() -> None:
    tiers = read_topology().tiers
    assert as_ordinary_user(lambda: repr(read_topology().tiers)) == repr(tiers)


def test_this_machine_makes_sense() -> None:
    topology = read_topology()
    assert any(node.cpus for node in topology.nodes)
    assert all(0 <= node.free_bytes <= node.total_bytes for node in topology.nodes)
    assert (
        topology.switches.kernel_release == Path("/proc/sys/kernel/osrelease").read_text().strip()
    )


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=20))
def test_merged_ranges_hold_the_same_addresses_apart(pairs: list[tuple[int, int]]) -> None:
    ranges = [PhysRange(start, start + length) for start, length in pairs]
    merged = merge_ranges(ranges)
    covered = {address for r in ranges for address in range(r.start, r.end)}
    assert sorted(covered) == [address for r in merged for address in range(r.start, r.end)]
    assert all(a.end < b.start for a, b in itertools.pairwise(merged))


def test_the_recorded_testbed(tmp_path: Path) -> None:
    """One-host testbed on Linux 7.3: 1 GiB DRAM, 2 GiB CXL memory as a hot-plugged node."""
    topology = _read(recorded("one_host"), tmp_path)
    dram, cxl = topology.nodes
    assert topology.tiers == (Tier(4, (0,)), Tier(22, (1,)))
    assert topology.demotion.targets == {0: (1,)}
    assert dram.cpus == (0, 1)
    assert not dram.is_cxl
    assert cxl.is_cpuless
    assert cxl.is_movable_only
    assert [region.name for region in cxl.cxl_regions] == ["region0"]
    assert cxl.ranges == (cxl.cxl_regions[0].range,)
    assert cxl.total_bytes == 2 << 30
    assert cxl.access is None
    assert topology.switches.damon == DamonState(kdamonds=0, running=())


def test_a_recorded_machine_with_hmat(tmp_path: Path) -> None:
    """QEMU with an HMAT: DRAM of 100 ns, boot-time memory of 250 ns, and CXL memory.

    The kernel puts the slower boot-time memory into the tier of the CXL memory,
    whose node the HMAT does not mention.
    """
    topology = _read(recorded("hmat"), tmp_path)
    assert topology.tiers == (Tier(4, (0,)), Tier(22, (1, 2)))
    dram, slow, cxl = topology.nodes
    assert dram.access is not None
    assert slow.access is not None
    assert (dram.access.read_latency_ns, slow.access.read_latency_ns) == (100, 250)
    assert (dram.access.read_bandwidth_Bps, slow.access.write_bandwidth_Bps) == (
        61_440_000_000,
        30_720_000_000,
    )
    assert slow.access.initiators == (0,)
    assert cxl.access is None
    assert (slow.is_cxl, cxl.is_cxl) == (False, True)
    assert topology.demotion.targets == {0: (1, 2)}
