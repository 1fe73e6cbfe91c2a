"""Record what topology and doctor read of a machine: `python3 record_tree.py > trees/NAME.json`.

Prints one JSON object, path to content; a link is {"link": target}. Only what
is looked at is recorded, so that a tree stays small enough to read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FILES = (
    "sys/devices/system/node/online",
    "sys/devices/system/node/node*/cpulist",
    "sys/devices/system/node/node*/meminfo",
    "sys/devices/system/node/node*/distance",
    "sys/devices/system/node/node*/vmstat",
    "sys/devices/system/node/node*/access*/initiators/*",
    "sys/devices/system/node/node*/memory*/state",
    "sys/devices/system/node/node*/memory*/valid_zones",
    "sys/devices/system/memory/auto_online_blocks",
    "sys/devices/system/memory/block_size_bytes",
    "sys/devices/virtual/memory_tiering/memory_tier*/nodelist",
    "sys/bus/cxl/devices/region*/resource",
    "sys/bus/cxl/devices/region*/size",
    "sys/bus/cxl/devices/region*/mode",
    "sys/bus/cxl/devices/mem*/serial",
    "sys/bus/dax/devices/dax*/size",
    "sys/bus/dax/devices/dax*/target_node",
    "sys/bus/dax/devices/dax*/driver",
    "sys/bus/pci/devices/*/vendor",
    "sys/bus/pci/devices/*/device",
    "sys/kernel/mm/numa/demotion_enabled",
    "sys/kernel/mm/lru_gen/enabled",
    "sys/kernel/mm/transparent_hugepage/enabled",
    "sys/kernel/mm/transparent_hugepage/defrag",
    "sys/kernel/mm/hugepages/*/nr_hugepages",
    "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds",
    "sys/kernel/mm/damon/admin/kdamonds/*/state",
    "sys/module/damon_lru_sort/parameters/enabled",
    "sys/module/damon_reclaim/parameters/enabled",
    "sys/fs/cgroup/cgroup.controllers",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/numa_balancing",
    "proc/sys/kernel/numa_balancing_promote_rate_limit_MBps",
    "proc/sys/vm/zone_reclaim_mode",
    "proc/swaps",
    "proc/vmstat",
    "proc/cmdline",
)


def main() -> None:
    """Record this machine."""
    tree: dict[str, object] = {}
    for pattern in FILES:
        for path in sorted(Path("/").glob(pattern)):
            if path.is_symlink() and path.name in {"driver", "node0", "node1"}:
                tree[str(path)] = {"link": path.readlink().name}
            elif path.is_file():
                tree[str(path)] = path.read_text()
    json.dump(tree, sys.stdout, indent=0)


if __name__ == "__main__":
    main()
