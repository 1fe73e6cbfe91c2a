"""The simulation of what pooling saves, on VMs made by hand and drawn ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError

from bench.pod_packing import KINDS, WAYS, best_fit, simulate
from bench.pod_saving import figures
from bench.pods import SIZES, estimate
from bench.vm_requests import DAYS, OVERLOAD, Requests, drawn, load_requests, sampled


def vms(*rows: tuple[float, float, float, float, float], most: float = np.inf) -> Requests:
    """Of begin, end, vCPUs, NIC, SSD; memory as vCPUs. All of one application."""
    begin, end, core, nic, ssd = np.array(rows).T
    group, limit = np.zeros(len(rows), np.int64), np.full(len(rows), most)
    return Requests(begin, end, core, core, nic, ssd, group, limit)


def test_a_vm_goes_to_the_fullest_host_with_room_for_all_it_needs() -> None:
    free = np.array([[1.0, 1.0], [0.5, 0.5], [0.3, 0.05]])
    anywhere = np.ones(3, np.bool_)
    assert best_fit(free, np.array([0.2, 0.1]), anywhere) == 1
    assert best_fit(free, np.array([0.6, 0.1]), anywhere) == 0
    assert best_fit(free, np.array([1.0, 1.1]), anywhere) is None
    assert best_fit(free, np.array([0.2, 0.1]), np.array([True, False, True])) == 0


def test_two_hosts_of_unlike_demand_share_what_each_would_need_alone() -> None:
    outcome = simulate(vms((0, 9, 1, 10, 0), (1, 9, 1, 2, 8)), 2, (2,))
    assert outcome.saved["peak"]["nic"] == {2: pytest.approx(1 - 12 / 20)}
    assert outcome.saved["peak"]["ssd"] == {2: pytest.approx(1 - 8 / 16)}


def test_hosts_that_are_not_built_alike_have_their_own_peaks() -> None:
    """The first VM has gone when the other two come, each on a host of its own."""
    outcome = simulate(vms((0, 1, 1, 9, 0), (2, 9, 1, 1, 0), (3, 9, 1, 5, 0)), 2, (2,))
    assert outcome.saved_own["nic"] == {2: pytest.approx(1 - 9 / (9 + 5))}
    assert outcome.saved["peak"]["nic"] == {2: pytest.approx(1 - 9 / (9 + 9))}


def test_no_more_of_an_application_share_a_host_than_may() -> None:
    rows = [(0.0, 9.0, 0.25, 5.0, 5.0), (0.0, 9.0, 0.25, 5.0, 5.0), (0.0, 1.0, 0.25, 5.0, 5.0)]
    assert simulate(vms(*rows), 2, ()).turned_away == 0
    assert simulate(vms(*rows, most=1), 2, ()).turned_away == 1
    again = (2.0, 3.0, 0.25, 5.0, 5.0)
    assert simulate(vms(rows[0], rows[2], again, most=1), 2, ()).turned_away == 0


def test_hosts_that_peak_together_save_nothing() -> None:
    outcome = simulate(vms((0, 9, 1, 5, 5), (1, 9, 1, 5, 5)), 2, (2,))
    assert outcome.saved["peak"] == {"nic": {2: 0.0}, "ssd": {2: 0.0}}


def test_who_has_ended_makes_room_and_who_finds_none_is_turned_away() -> None:
    outcome = simulate(vms((0, 1, 1, 5, 5), (0.5, 2, 1, 5, 5), (1.5, 2, 1, 5, 5)), 1, ())
    assert (outcome.vms, outcome.turned_away) == (3, 1)


def test_drawn_vms_fill_their_hosts_and_are_the_same_for_a_seed() -> None:
    hosts = 16
    first, second = load_requests(None, hosts, 3), load_requests(None, hosts, 3)
    assert all(np.array_equal(getattr(first, one), getattr(second, one)) for one in KINDS)
    asked = [
        float(np.dot(one.end - one.begin, one.core)) / (hosts * DAYS)
        for one in (drawn(hosts, np.random.default_rng(seed)) for seed in range(20))
    ]
    assert np.mean(asked) == pytest.approx(OVERLOAD, rel=0.1)


def test_pods_of_any_size_need_no_more_than_hosts_of_their_own() -> None:
    outcome = simulate(load_requests(None, 32, 1), 32, SIZES)
    for way in WAYS:
        for kind in KINDS:
            assert all(-1e-9 <= saved < 1 for saved in outcome.saved[way][kind].values())
    ssd = outcome.saved["peak"]["ssd"]
    assert ssd[32] > ssd[2]


def trace(path: Path, vm_rows: list[tuple[object, ...]]) -> Path:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE vm (vmId, tenantId, vmTypeId, priority, starttime, endtime)")
        file.execute("CREATE TABLE vmType (id, vmTypeId, machineId, core, memory, hdd, ssd, nic)")
        file.executemany("INSERT INTO vm VALUES (?, 0, ?, 0, ?, ?)", vm_rows)
        file.execute("INSERT INTO vmType VALUES (1, 7, 16, 0.5, 0.25, 0, 0.1, 0.2)")
        file.execute("INSERT INTO vmType VALUES (2, 8, 17, 1.0, 1.0, 0, 0.0, 0.0)")
    return path


def test_a_trace_is_read_for_the_machine_that_most_vms_run_on(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(1, 7, -1.0, 3.0), (2, 7, 2.0, None), (3, 8, 1.0, 2.0)]
    found = sampled(trace(tmp_path / "trace", rows), 1000, np.random.default_rng(1))
    assert found.begin.tolist() == [-1.0, 2.0]
    assert found.end.tolist() == [3.0, np.inf]
    assert (found.core[0], found.memory[0], found.nic[0], found.ssd[0]) == (0.5, 0.25, 0.2, 0.1)


INSTANCES = """\
instance_sn,role,app_name,cpu_request,rdma_request,memory_request,disk_request,\
max_instance_per_node,creation_time,deletion_time
i0,CN,a,64,100,320.0,255.0,2,,86400.0
i1,CN,b,128,1,160.0,680.0,-1,43200.0,
i2,HN,c,8,25,40.0,85.0,4,100.0,200.0
i3,CN,a,32,100,320.0,255.0,2,172800.0,345600.0
"""


def test_instances_of_cpu_nodes_are_shares_of_the_largest_requests(tmp_path: Path) -> None:
    path = tmp_path / "instances.csv"
    path.write_text(INSTANCES)
    found = sampled(path, 1000, np.random.default_rng(1))
    assert found.begin.tolist() == [0.0, 0.5, 2.0]
    assert found.end.tolist() == [1.0, np.inf, 4.0]
    assert found.core.tolist() == [0.5, 1.0, 0.25]
    assert found.memory.tolist() == [1.0, 0.5, 1.0]
    assert (found.nic.tolist(), found.ssd.tolist()) == ([100, 1, 100], [255, 680, 255])
    assert found.group[0] == found.group[2] != found.group[1]
    assert found.most.tolist() == [2, np.inf, 2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CN", "XX", "has no instances of the role CN"),
        ("cpu_request", "cores", "is not the trace of recommendation services"),
        ("64,100", "many,100", "is not the trace of recommendation services"),
        ("64,100", ",100", "without vCPUs"),
    ],
)
def test_instances_that_cannot_be_are_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "instances.csv"
    path.write_text(INSTANCES.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_requests(path, 4, 1)


def test_what_is_no_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_requests(tmp_path / "none", 4, 1)
    other = tmp_path / "other"
    other.write_text("begin,end\n" * 100)
    with pytest.raises(ConfigError, match="is not the trace for packing"):
        load_requests(other, 4, 1)
    with pytest.raises(ConfigError, match="has no VMs"):
        load_requests(trace(tmp_path / "empty", []), 4, 1)


def test_figures_are_means_over_seeds_with_their_error() -> None:
    assert estimate([0.1, 0.3]).mean == pytest.approx(0.2)
    assert estimate([0.1, 0.3]).half_width == pytest.approx(12.706 * 0.1, rel=1e-3)
    outcomes = [simulate(load_requests(None, 32, seed), 32, SIZES) for seed in (1, 2)]
    found = figures(outcomes)
    assert {"nic_saving_8_hosts", "ssd_saving_8_hosts"} <= set(found)
