"""What snapshots say, and that two of them subtract."""

from __future__ import annotations

import json
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


def test_the_matrix_of_kernel_cpu_follows_rows_and_columns() -> None:
    maps = Maps()
    cells = [(None, (0, 0))] * (len(kernel_cpu.WHO) * len(kernel_cpu.ACTIVITIES))
    cells[kernel_cpu.WHO.index("kswapd") * len(kernel_cpu.ACTIVITIES) + 1] = (None, (42, 3))
    maps.content["cells"] = cells
    maps.put = lambda *args, **kwargs: None  # type: ignore[attr-defined]
    assert opened(kernel_cpu.QUESTION, maps)().cells == (CpuTime("kswapd", "migration", 42, 3),)
