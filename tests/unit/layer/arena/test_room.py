"""How much memory there is to take: the kernel's own rule, node by node, and control groups."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import TiermemError
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.sysfs import Tree, read_list

from tests.unit.layer.trees import plant

PAGE = 4096
ZONES = """\
Node 0, zone      DMA
  per-node stats
      nr_inactive_file 1000
      nr_active_file 3000
      nr_slab_reclaimable 500
      nr_kernel_misc_reclaimable 0
  pages free     100
        min      10
        low      20
        high     30
        managed  50
        protection: (0, 900, 900)
Node 0, zone   Normal
  pages free     5000
        min      100
        low      200
        high     300
        managed  8000
        protection: (0, 0, 0)
  pagesets
    cpu: 0
              count:    1
              high:     1702
Node 1, zone  Movable
  per-node stats
      nr_inactive_file 0
      nr_active_file 0
      nr_slab_reclaimable 0
  pages free     700
        low      40
        high     60
        managed  800
        protection: (0, 0, 0)
"""
NODE_0 = (100 - 50) + (5000 - 300) + (4000 - 220) + (500 - 220)
NODE_1 = 700 - 60


def tree(root: Path, **files: str) -> Tree:
    named = {f"/{name}": content for name, content in files.items()}
    return Tree(*plant({"/proc/zoneinfo": ZONES, **named}, root))


def test_it_is_what_the_kernel_calls_available() -> None:
    """This host's nodes together, without its control groups. What a balloon in a virtual
    machine has taken is free in /proc/meminfo, and is on no node."""
    here = Tree()
    meminfo = dict(line.split()[:2] for line in (here.proc / "meminfo").read_text().splitlines())
    vmstat = dict(line.split() for line in (here.proc / "vmstat").read_text().splitlines())
    besides_free = (int(meminfo["MemAvailable:"]) - int(meminfo["MemFree:"])) << 10
    free = int(vmstat["nr_free_pages"]) * PAGE
    nodes = read_list(here.sysfs / "devices/system/node/online")
    room = room_bytes(nodes, Tree(Path("/nonexistent"), here.proc))
    assert room == pytest.approx(free + besides_free, rel=0.05)


def test_each_node_has_its_own(tmp_path: Path) -> None:
    there = tree(tmp_path)
    assert room_bytes([0], there) == NODE_0 * PAGE
    assert room_bytes([1], there) == NODE_1 * PAGE
    assert room_bytes([0, 1], there) == (NODE_0 + NODE_1) * PAGE
    assert room_bytes([7], there) == 0


@pytest.mark.parametrize(
    ("limit", "room"),
    [("max", NODE_0 * PAGE), (str(64 << 20), (63 << 20) - (20 << 20) + (5 << 20)), ("4096", 0)],
)
def test_a_control_group_above_this_process_bounds_it(
    tmp_path: Path, limit: str, room: int
) -> None:
    group = "sys/fs/cgroup/outer"
    files = {
        "proc/self/cgroup": "0::/outer/inner\n",
        f"{group}/memory.max": limit,
        f"{group}/memory.current": str(20 << 20),
        f"{group}/memory.stat": f"anon 9\ninactive_file {4 << 20}\nactive_file {1 << 20}\n",
        f"{group}/inner/memory.max": "max",
        f"{group}/inner/memory.current": "0",
    }
    assert room_bytes([0], tree(tmp_path, **files)) == min(room, NODE_0 * PAGE)


def test_so_does_one_of_the_first_version(tmp_path: Path) -> None:
    """Its path here is one that only the container's host has; the mount's top counts."""
    group = "sys/fs/cgroup/memory"
    files = {
        "proc/self/cgroup": "4:memory:/machine/a\n3:cpuset:/\n0::/\n",
        f"{group}/memory.limit_in_bytes": str(16 << 20),
        f"{group}/memory.usage_in_bytes": str(12 << 20),
        f"{group}/memory.stat": f"inactive_file 1\ntotal_inactive_file {1 << 20}\n",
    }
    assert room_bytes([0], tree(tmp_path, **files)) == (16 << 20) * 63 // 64 - (11 << 20)


def test_without_the_kernels_word_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(TiermemError, match="zoneinfo: is not there"):
        room_bytes([0], Tree(tmp_path, tmp_path))
