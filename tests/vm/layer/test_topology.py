"""Topology and doctor of a guest with real CXL memory, against what other tools there say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiermem.layer.nodes import PhysRange
from tiermem.layer.topology import Topology, read_topology
from tiermem.testbed import Guest

from tests.unit.layer.trees import plant
from tests.vm.guest_python import run_json


@pytest.fixture(scope="module")
def topology(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Topology:
    """The guest's own files, read here."""
    tree = run_json(guest, "tests/unit/layer/record_tree.py")
    return read_topology(*plant(tree, Path(tmp_path_factory.mktemp("guest"))))


def test_cxl_memory_is_a_slower_tier_without_cpus(topology: Topology) -> None:
    fast, slow = topology.tiers
    (dram,) = [topology.node(number) for number in fast.nodes]
    (cxl,) = [topology.node(number) for number in slow.nodes]
    assert dram.cpus
    assert cxl.is_cpuless
    assert cxl.is_cxl
    assert cxl.is_movable_only
    assert topology.top_tier == fast


def test_the_nodes_memory_lies_in_the_cxl_window(guest: Guest, topology: Topology) -> None:
    iomem = guest.check(["cat", "/proc/iomem"]).stdout
    window = re.search(r"^([0-9a-f]+)-([0-9a-f]+) : CXL Window 0", iomem, re.MULTILINE)
    assert window is not None
    bounds = PhysRange(int(window[1], 16), int(window[2], 16) + 1)
    cxl = topology.node(topology.tiers[-1].nodes[0])
    assert all(bounds.start <= r.start and r.end <= bounds.end for r in cxl.ranges)
    assert sum(r.bytes for r in cxl.ranges) == cxl.total_bytes


def test_memory_is_as_large_as_numactl_says(guest: Guest, topology: Topology) -> None:
    hardware = guest.check(["numactl", "--hardware"]).stdout
    sizes = {int(n): int(mb) for n, mb in re.findall(r"node (\d+) size: (\d+) MB", hardware)}
    assert sizes == {node.id: node.total_bytes >> 20 for node in topology.nodes}
    distances = re.findall(r"^ +(\d+): +(.*)$", hardware, re.MULTILINE)
    for number, row in distances:
        assert list(topology.node(int(number)).distances.values()) == list(map(int, row.split()))


def test_demotion_targets_are_the_kernels_own(guest: Guest, topology: Topology) -> None:
    log = guest.check(["dmesg"]).stdout
    said = {}
    for source, targets in re.findall(
        r"Demotion targets for Node (\d+): preferred: ([\d,-]+)", log
    ):
        said[int(source)] = tuple(map(int, targets.rstrip(",").split(",")))
    assert said
    assert topology.demotion.targets == said


def test_without_hmat_no_speed_is_made_up(guest: Guest, topology: Topology) -> None:
    """The machine has no HMAT; what firmware does not say is None."""
    assert "HMAT" not in guest.check(["ls", "/sys/firmware/acpi/tables"]).stdout
    assert all(node.access is None for node in topology.nodes)


def test_doctor_names_what_the_guest_lacks(guest: Guest) -> None:
    done = guest.exec(["tiermem", "doctor", "--json"], timeout_s=600)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert {name for name, f in findings.items() if f["status"] == "fail"} == set()
    for name in ("rights", "kernel", "slow-memory", "tiers", "zone", "cgroup", "native"):
        assert findings[name]["status"] == "ok", findings[name]
    assert "CXL" in findings["slow-memory"]["seen"]
    assert done.status == 1


def test_doctors_command_for_demotion_does_what_it_says(guest: Guest) -> None:
    switch = "/sys/kernel/mm/numa/demotion_enabled"
    before = guest.check(["cat", switch]).stdout.strip()
    try:
        guest.check(["sh", "-c", f"echo 0 > {switch}"])
        done = guest.exec(["tiermem", "doctor", "--json"], timeout_s=600)
        (off,) = [f for f in json.loads(done.stdout) if f["name"] == "demotion"]
        assert off["status"] == "warn"
        guest.check(["sh", "-c", off["fix"]])
        assert guest.check(["cat", switch]).stdout.strip() in ("1", "true")
    finally:
        guest.check(["sh", "-c", f"echo {before} > {switch}"])
