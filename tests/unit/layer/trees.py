"""Trees like /sys and /proc: recorded from machines, or written down for a test.

A tree is a dict from absolute path to content; `{"link": "name"}` is a link to
a folder of that name. `plant` puts one into a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "trees"
BLOCK_BYTES = 128 << 20


def recorded(name: str) -> dict[str, Any]:
    """The tree recorded as trees/`name`.json by record_tree.py."""
    tree: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return tree


def plant(tree: Mapping[str, Any], root: Path) -> tuple[Path, Path]:
    """Write the tree below `root`; returns its /sys and /proc."""
    for name, content in tree.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            target = root / "targets" / content["link"]
            target.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        else:
            path.write_text(content)
    for mount in ("sys", "proc"):
        (root / mount).mkdir(parents=True, exist_ok=True)
    return root / "sys", root / "proc"


def node(
    number: int,
    *,
    cpus: str = "",
    blocks: Iterable[int] = (),
    distance: str = "10",
    zone: str = "Normal",
    free_kb: int = 1000,
    access: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """The files of one node, with memory in `blocks` of BLOCK_BYTES."""
    base = f"/sys/devices/system/node/node{number}"
    blocks = list(blocks)
    total_kb = len(blocks) * BLOCK_BYTES // 1024
    tree: dict[str, Any] = {
        f"{base}/cpulist": f"{cpus}\n",
        f"{base}/distance": f"{distance}\n",
        f"{base}/meminfo": (
            f"Node {number} MemTotal:       {total_kb} kB\n"
            f"Node {number} MemFree:        {min(free_kb, total_kb)} kB\n"
            f"Node {number} HugePages_Total:     0\n"
        ),
    }
    for block in blocks:
        tree[f"{base}/memory{block}/state"] = "online\n"
        tree[f"{base}/memory{block}/valid_zones"] = f"{zone}\n"
    for access_class, figures in (access or {}).items():
        for name, value in figures.items():
            tree[f"{base}/{access_class}/initiators/{name}"] = f"{value}\n"
    return tree


def machine(*nodes: Mapping[str, Any], tiers: Mapping[int, str], **files: str) -> dict[str, Any]:
    """A whole machine of `nodes`, with memory tiers by the kernel's number; extra `files`."""
    numbers = [name.split("node/node")[1].split("/")[0] for tree in nodes for name in tree]
    tree: dict[str, Any] = {
        "/sys/devices/system/node/online": ",".join(dict.fromkeys(numbers)) + "\n",
        "/sys/devices/system/memory/block_size_bytes": f"{BLOCK_BYTES:x}\n",
        "/sys/kernel/mm/numa/demotion_enabled": "true\n",
        "/proc/sys/kernel/osrelease": "6.12.1\n",
    }
    for files_of_node in nodes:
        tree.update(files_of_node)
    for number, nodelist in tiers.items():
        path = f"/sys/devices/virtual/memory_tiering/memory_tier{number}/nodelist"
        tree[path] = f"{nodelist}\n"
    tree.update({f"/{name}": content for name, content in files.items()})
    return tree
