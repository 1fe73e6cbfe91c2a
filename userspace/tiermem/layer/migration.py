"""How many pages the kernel has moved between nodes, and why, since boot.

From /proc/vmstat and every node's vmstat. A counter that this kernel does not
have is missing, not 0: `pgpromote_candidate_nrl`, say, came with 6.17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.sysfs import numbered, read_text

PREFIXES = ("pgmigrate_", "pgpromote_", "pgdemote_", "numa_", "thp_migration_")


@dataclass(frozen=True)
class MigrationCounters:
    """Pages (and events) by the kernel's own name for them; `nodes` by node number."""

    host: Mapping[str, int]
    nodes: Mapping[int, Mapping[str, int]]

    def since(self, before: MigrationCounters) -> MigrationCounters:
        """What has been added after `before`."""
        return MigrationCounters(
            host=_minus(self.host, before.host),
            nodes={
                node: _minus(counters, before.nodes.get(node, {}))
                for node, counters in self.nodes.items()
            },
        )

    @property
    def demoted_pages(self) -> int:
        """Pages that reclaim has moved to a slower tier, by any of its ways."""
        return sum(count for name, count in self.host.items() if name.startswith("pgdemote_"))

    @property
    def promoted_pages(self) -> int:
        """Pages that NUMA balancing has moved to the top tier."""
        return self.host.get("pgpromote_success", 0)


def read_migration_counters(
    sysfs: Path = Path("/sys"), proc: Path = Path("/proc")
) -> MigrationCounters:
    """All counters of PREFIXES, now."""
    nodes = numbered(sysfs / "devices/system/node", "node")
    return MigrationCounters(
        host=_parse(read_text(proc / "vmstat")),
        nodes={number: _parse(read_text(path / "vmstat")) for number, path in nodes.items()},
    )


def _parse(text: str | None) -> dict[str, int]:
    pairs = (line.split() for line in (text or "").splitlines())
    return {name: int(count) for name, count in pairs if name.startswith(PREFIXES)}


def _minus(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items()}
