"""What snapshots say, and that two of them subtract."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiermem.probes import fault_latency, hint_faults, kernel_cpu, migration
from tiermem.probes.histogram import LATENCY
from tiermem.probes.kernel_cpu import CpuTime, KernelCpuSnapshot, kernel_threads
from tiermem.probes.loader import sum_over_cpus
from tiermem.probes.tracepoints import Tracepoint

MIGRATE = Tracepoint(
    "migrate",
    "mm_migrate_pages",
    ("mode", "reason"),
    {"mode": {1: "MIGRATE_SYNC_LIGHT"}, "reason": {3: "syscall_or_cpuset", 8: "demotion"}},
)


class Maps:
    """The maps of a loaded program, with given content: what readers read."""

    def __init__(self) -> None:
        self.content: dict[str, list[tuple[Any, Any]]] = {}

    def entries(
        self, table: str, key: np.dtype[Any], leaf: np.dtype[Any]
    ) -> Iterator[tuple[np.void, np.void]]:
        for raw_key, raw_leaf in self.content.get(table, []):
            yield np.array([raw_key], dtype=key)[0], np.array([raw_leaf], dtype=leaf)[0]

    def array(self, table: str, leaf: np.dtype[Any]) -> np.ndarray[Any, Any]:
        rows = self.content[table]
        return np.array([value for _, value in rows], dtype=leaf)


def latency(total_ns: int, slot: int, count: int) -> tuple[int, list[int]]:
    slots = [0] * 64
    slots[slot] = count
    return (total_ns, slots)


def opened(question: Any, maps: Maps, tracepoints: Mapping[str, Tracepoint] | None = None) -> Any:
    return question.open_reader(maps, tracepoints or {})


@pytest.fixture
def migrations(monkeypatch: pytest.MonkeyPatch) -> tuple[Maps, Any]:
    modules = {0x1000: "", 0x2000: "", 0x9000: "tiermem_promote"}
    monkeypatch.setattr(migration, "module_of_running", lambda address: modules[address])
    maps = Maps()
    maps.content["outcomes"] = [
        ((0x1000, 3, 1), (2, 30, 4, 0, 0, 0, 5_000)),
        ((0x2000, 3, 1), (1, 10, 0, 0, 0, 0, 1_000)),
        ((0x9000, 3, 1), (1, 512, 0, 1, 0, 0, 9_000)),
    ]
    maps.content["moves"] = [((0x9000, 3, 1, 0), (1, 512)), ((0x1000, 3, 0, 1), (30, 30))]
    maps.content["latencies"] = [((0x1000, 3), latency(5_000, 11, 2))]
    return maps, opened(migration.QUESTION, maps, {"migrate:mm_migrate_pages": MIGRATE})


def test_migrations_are_told_by_reason_and_by_the_module_that_called(
    migrations: tuple[Maps, Any],
) -> None:
    snapshot = migrations[1]()
    assert snapshot.moved_pages("syscall_or_cpuset") == 552
    assert snapshot.moved_pages(via="tiermem_promote") == 512
    assert snapshot.moved_pages("demotion") == 0
    assert snapshot.failed_pages() == 4
    assert snapshot.pages_between(1, 0) == 512
    kernel = next(outcome for outcome in snapshot.outcomes if not outcome.via)
    assert (kernel.calls, kernel.mode, kernel.total_ns) == (3, "sync_light", 6_000)


def test_migrations_since_an_earlier_reading(migrations: tuple[Maps, Any]) -> None:
    maps, read = migrations
    before = read()
    maps.content["outcomes"].append(((0x1000, 8, 1), (1, 7, 0, 0, 0, 0, 100)))
    maps.content["moves"][1] = ((0x1000, 3, 0, 1), (35, 35))
    since = read().minus(before)
    assert [(o.reason, o.moved_pages) for o in since.outcomes] == [("demotion", 7)]
    assert since.pages_between(0, 1) == 5
    assert since.latencies == {}


def test_a_reason_without_a_name_keeps_its_number(migrations: tuple[Maps, Any]) -> None:
    maps, read = migrations
    maps.content["outcomes"] = [((0x1000, 31, 7), (1, 1, 0, 0, 0, 0, 1))]
    (outcome,) = read().outcomes
    assert (outcome.reason, outcome.mode) == ("reason 31", "mode 7")


def test_a_module_that_is_gone_keeps_its_migrations(
    migrations: tuple[Maps, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = migrations[1]
    read()
    monkeypatch.setattr(migration, "module_of_running", lambda address: "")
    assert read().moved_pages(via="tiermem_promote") == 512


def test_raced_hint_faults_have_no_node_and_do_not_count() -> None:
    maps = Maps()
    maps.content["by_node"] = [((1, 0), (5, 5, 900)), ((0, 1), (2, 3, 800)), ((64, 3), (1, 0, 50))]
    maps.content["latencies"] = [(None, latency(900, 7, 5))] + [(None, latency(0, 0, 0))] * 3
    snapshot = opened(hint_faults.QUESTION, maps)()
    assert [(row.node, row.outcome) for row in snapshot.by_node] == [
        (0, "moved"),
        (1, "stayed"),
        (None, "raced"),
    ]
    assert (snapshot.faults, snapshot.total_ns) == (7, 1750)
    assert snapshot.minus(snapshot).by_node == ()


def test_fault_latency_by_node_with_a_row_for_faults_without_one() -> None:
    maps = Maps()
    maps.content["latencies"] = [((64,), latency(10, 3, 1)), ((1,), latency(5_000, 12, 4))]
    snapshot = opened(fault_latency.QUESTION, maps)()
    assert list(snapshot.by_node) == [1, None]
    assert snapshot.on_node(1).mean_ns == 1250
    assert snapshot.on_node(0).count == 0
    assert snapshot.minus(snapshot).by_node == {}


CPU = KernelCpuSnapshot(
    (
        CpuTime("process", "migration", 100, 2),
        CpuTime("apart", "migration", 1_000, 1),
        CpuTime("kdamond", "other", 30, 0),
        CpuTime("kdamond", "migration", 7, 1),
    )
)


def test_the_cost_leaves_out_the_processes_set_apart() -> None:
    assert CPU.total_ns == 137
    assert CPU.ns() == 1_137
    assert CPU.ns("kdamond") == 37
    assert CPU.ns(activity="migration") == 1_107


def test_a_wrong_row_is_refused_not_zero() -> None:
    with pytest.raises(ValueError, match="allowed is one of"):
        CPU.ns("ksmd")


def test_cpu_time_since_an_earlier_reading() -> None:
    later = KernelCpuSnapshot((*CPU.cells[:3], CpuTime("kdamond", "migration", 10, 2)))
    assert later.minus(CPU).cells == (CpuTime("kdamond", "migration", 3, 1),)


def test_only_kernel_threads_have_a_row(tmp_path: Path) -> None:
    def process(pid: int, name: str, flags: int) -> None:
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({name}) S 2 0 0 0 -1 {flags} 0 0 0 0\n")

    process(61, "kswapd0", 0x00220840)
    process(77, "kdamond.3", 0x00208040)
    process(900, "kswapd0", 0x00400000)
    process(901, "a) (b", 0x00200000)
    assert sorted(kernel_threads(tmp_path)) == [(61, "kswapd"), (77, "kdamond")]


def test_values_of_all_cpus_are_added() -> None:
    per_cpu = np.zeros(2, dtype=LATENCY)
    per_cpu[0] = latency(10, 3, 1)
    per_cpu[1] = latency(20, 3, 2)
    summed = sum_over_cpus(per_cpu.tobytes(), LATENCY)
    assert summed["total_ns"] == 30
    assert summed["slots"][3] == 3


@pytest.mark.parametrize("snapshot", [CPU, KernelCpuSnapshot(())])
def test_snapshots_are_json_and_tables(snapshot: KernelCpuSnapshot) -> None:
    assert json.loads(json.dumps(snapshot.as_dict())) == snapshot.as_dict()
    for table in snapshot.tables():
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_tables_of_migrations_have_a_cell_for_each_column(migrations: tuple[Maps, Any]) -> None:
    snapshot = migrations[1]()
    assert json.loads(json.dumps(snapshot.as_dict())) == snapshot.as_dict()
    for table in snapshot.tables():
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


class CpuMaps(Maps):
    """Those of kernel-cpu; `put` is what the opener does with threads of this very host."""

    def __init__(self) -> None:
        super().__init__()
        self.content["cells"] = [(None, (0, 0))] * (
            len(kernel_cpu.WHO) * len(kernel_cpu.ACTIVITIES)
        )
        self.content["ended"] = [(None, (0,))] * len(kernel_cpu.WHO)

    def put(self, *_args: object, **_fields: object) -> None:
        pass

    def see(self, who: str, activity: str, ns: int, times: int) -> None:
        row, column = kernel_cpu.WHO.index(who), kernel_cpu.ACTIVITIES.index(activity)
        self.content["cells"][row * len(kernel_cpu.ACTIVITIES) + column] = (None, (ns, times))

    def end(self, who: str, ns: int) -> None:
        self.content["ended"][kernel_cpu.WHO.index(who)] = (None, (ns,))

    def live(self, **before_ns: int) -> None:
        self.content["threads"] = [
            (pid, (ns, kernel_cpu.WHO.index(who), 0))
            for pid, (who, ns) in enumerate(before_ns.items(), start=100)
        ]


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """What the scheduler has charged, by pid; every other pid has ended."""
    charged = {os.getpid(): 0}
    monkeypatch.setattr(kernel_cpu, "thread_cpu_ns", charged.get)
    return charged


def test_the_matrix_of_kernel_cpu_follows_rows_and_columns(scheduler: dict[int, int]) -> None:
    maps = CpuMaps()
    maps.see("kswapd", "migration", 42, 3)
    assert opened(kernel_cpu.QUESTION, maps)().cells == (CpuTime("kswapd", "migration", 42, 3),)


def test_a_kernel_threads_row_adds_up_to_what_the_scheduler_charged(
    scheduler: dict[int, int],
) -> None:
    maps = CpuMaps()
    maps.see("kswapd", "other", 5, 0)
    maps.see("kswapd", "migration", 42, 3)
    maps.see("process", "migration", 7, 1)
    maps.live(kswapd=1_000, kdamond=0)
    scheduler.update({100: 1_100, 101: 30})
    seen = opened(kernel_cpu.QUESTION, maps)()
    assert (seen.ns("kswapd"), seen.ns("kswapd", "other")) == (100, 58)
    assert seen.ns("kdamond", "other") == 30
    assert seen.total_ns == 100 + 30 + 7


def test_what_a_thread_had_used_when_it_ended_stays_in_its_row(scheduler: dict[int, int]) -> None:
    maps = CpuMaps()
    maps.live(kdamond=0)
    scheduler[100] = 30
    read = opened(kernel_cpu.QUESTION, maps)
    assert read().ns("kdamond") == 30
    del scheduler[100]
    maps.live()
    maps.end("kdamond", 35)
    assert read().ns("kdamond") == 35


def test_no_cell_falls_where_the_scheduler_lags_behind_the_probe(
    scheduler: dict[int, int],
) -> None:
    maps = CpuMaps()
    maps.live(kswapd=0)
    scheduler[100] = 50
    read = opened(kernel_cpu.QUESTION, maps)
    first = read()
    maps.see("kswapd", "migration", 20, 1)
    second = read()
    assert second.minus(first).cells == (CpuTime("kswapd", "migration", 20, 1),)
    scheduler[100] = 90
    assert read().ns("kswapd") == 90
    maps.see("kswapd", "migration", 1_000, 2)
    assert read().ns("kswapd", "other") == 70


def test_without_the_schedulers_account_the_program_s_own_count_stands(
    scheduler: dict[int, int],
) -> None:
    scheduler.clear()
    maps = CpuMaps()
    maps.see("kswapd", "other", 5, 0)
    assert opened(kernel_cpu.QUESTION, maps)().ns("kswapd") == 5
