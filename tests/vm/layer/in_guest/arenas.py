"""Run in the guest: arenas on the CXL node, as the kernel sees them, and report.

Prints one JSON object. A child makes an arena of the slowest tier and is killed; others ask
for more than there is, of the node and of a control group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tiermem.errors import NoSpaceError
from tiermem.layer.arena import create_arena, list_arenas
from tiermem.layer.arena.registry import default_run_dir
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.placement import query_pages
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_topology

MIB = 1 << 20
SIZE = 32 * MIB + 5
PAGE = 4096
CGROUPS = Path("/sys/fs/cgroup")

CHILD = f"""
import sys
from tiermem.layer.arena import create_arena
arena = create_arena("kv", {SIZE}, tier="slowest")
block = arena.allocate(3 << 20)
print(arena.address, arena.huge_bytes(), flush=True)
sys.stdin.read()
"""

GREEDY = f"""
from pathlib import Path
from tiermem.errors import NoSpaceError
from tiermem.layer.arena import create_arena
Path("{CGROUPS}/arenas/cgroup.procs").write_text("0")
create_arena("small", 16 << 20, tier="slowest").close()
try:
    create_arena("large", 256 << 20, tier="slowest")
except NoSpaceError as error:
    print(error)
"""


def killed_owner() -> dict[str, Any]:
    """Where the pages of another process' arena lie; what is listed before and after its end."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    address, huge = map(int, child.stdout.readline().split())
    pages = np.arange(address, address + SIZE, PAGE, dtype=np.uint64)
    beyond = np.array([address + (SIZE // PAGE + 1) * PAGE], dtype=np.uint64)
    seen: dict[str, Any] = {
        "nodes": Counter(query_pages(child.pid, pages).tolist()),
        "beyond": query_pages(child.pid, beyond).tolist(),
        "huge": huge,
        "pid": child.pid,
        "listed": _ls(),
    }
    child.send_signal(signal.SIGKILL)
    child.communicate()
    seen["files_left"] = len(list(default_run_dir().iterdir()))
    seen["listed_after"] = _ls()
    seen["files_swept"] = len(list(default_run_dir().iterdir()))
    return seen


def _ls() -> Any:
    command = ["tiermem", "arena", "ls", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def full_node(slow: int) -> dict[str, Any]:
    """Two that do not both fit, each of which would."""
    tree = Tree()
    room = room_bytes([slow], tree) // (8 * PAGE) * 8 * PAGE
    with create_arena("first", room // 4, nodes=[slow]):
        try:
            create_arena("second", room // 8 * 7, nodes=[slow])
            refused = ""
        except NoSpaceError as error:
            refused = str(error)
        left = room_bytes([slow], tree)
        listed = len(list_arenas())
    return {"room": room, "left": left, "refused": refused, "listed": listed}


def small_group() -> dict[str, Any]:
    """In a control group of 128 MiB; what the kernel counts as killed there."""
    group = CGROUPS / "arenas"
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    (group / "memory.max").write_text(str(128 * MIB))
    done = subprocess.run([sys.executable, "-c", GREEDY], capture_output=True, text=True)
    events = dict(line.split() for line in (group / "memory.events").read_text().splitlines())
    group.rmdir()
    return {"said": done.stdout + done.stderr, "status": done.returncode, "events": events}


def main() -> None:
    """Do it all and print what was seen."""
    slow = read_topology().tiers[-1].nodes[0]
    seen = {
        "slow": slow,
        "pid": os.getpid(),
        "killed": killed_owner(),
        "full": full_node(slow),
        "group": small_group(),
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
