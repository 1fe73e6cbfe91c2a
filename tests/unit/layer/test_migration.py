"""The kernel's migration counters, as they grow."""

from __future__ import annotations

from pathlib import Path

from tiermem.layer.migration import read_migration_counters

from tests.unit.layer.trees import plant

VMSTAT = "nr_free_pages 9\npgpromote_success {promoted}\npgdemote_kswapd 5\npgdemote_direct 2\n"


def _tree(promoted: int) -> dict[str, str]:
    return {
        "/proc/vmstat": VMSTAT.format(promoted=promoted) + "pgmigrate_success 30\n",
        "/sys/devices/system/node/node0/vmstat": VMSTAT.format(promoted=promoted),
        "/sys/devices/system/node/node1/vmstat": "numa_hit 3\n",
    }


def test_counts_by_host_and_node(tmp_path: Path) -> None:
    counters = read_migration_counters(*plant(_tree(10), tmp_path))
    assert counters.promoted_pages == 10
    assert counters.demoted_pages == 7
    assert counters.nodes[0]["pgpromote_success"] == 10
    assert counters.nodes[1] == {"numa_hit": 3}
    assert "nr_free_pages" not in counters.host


def test_what_has_been_added_since(tmp_path: Path) -> None:
    before = read_migration_counters(*plant(_tree(10), tmp_path / "before"))
    after = read_migration_counters(*plant(_tree(25), tmp_path / "after"))
    added = after.since(before)
    assert (added.promoted_pages, added.demoted_pages) == (15, 0)
    assert added.nodes[0]["pgpromote_success"] == 15


def test_this_machine_has_them() -> None:
    assert "pgmigrate_success" in read_migration_counters().host
