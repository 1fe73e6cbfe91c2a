"""Run in the guest: arenas on the CXL node, as the kernel sees them, and report.

Prints one JSON object. A child makes an arena of the slowest tier and is killed; others ask
for more than there is, of the node and of a control group.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tiermem.errors import NoSpaceError
from tiermem.layer.arena import Buffer, create_arena, list_arenas
from tiermem.layer.arena.huge import huge_bytes
from tiermem.layer.arena.registry import default_run_dir
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.pages import bytes_by_node
from tiermem.layer.placement import query_pages
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_topology

MIB = 1 << 20
SIZE = 32 * MIB + 5
PAGE = 4096
SPARED = 8 * MIB
CGROUPS = Path("/sys/fs/cgroup")

kept: list[Buffer] = []


def in_child(work: Callable[[], Any], *, waits: bool = False) -> tuple[int, Any]:
    """What a forked process returns, and its pid; with `waits` it is there until it is killed.

    Forked and not started: importing costs seconds on an emulated processor.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, json.dumps(work()).encode())
        os.close(writer)
        while waits:
            signal.pause()
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:  # noqa: PTH123 (a descriptor)
        said = json.loads(answer.read())
    if not waits:
        os.waitpid(pid, 0)
    return pid, said


def owner() -> tuple[int, int | None]:
    """Has an arena with a buffer, for as long as it lives."""
    arena = create_arena("kv", SIZE, tier="slowest")
    kept.append(arena.allocate(3 * MIB))
    return arena.address, arena.huge_bytes()


def killed_owner() -> dict[str, Any]:
    """Where the pages of another process' arena lie; what is listed before and after its end."""
    pid, (address, huge) = in_child(owner, waits=True)
    pages = np.arange(address, address + SIZE, PAGE, dtype=np.uint64)
    beyond = np.array([address + (SIZE // PAGE + 1) * PAGE], dtype=np.uint64)
    listed = list_arenas()
    seen: dict[str, Any] = {
        "nodes": Counter(query_pages(pid, pages).tolist()),
        "beyond": query_pages(pid, beyond).tolist(),
        "huge": huge,
        "huge_from_outside": huge_bytes(pid, address, SIZE),
        "pid": pid,
        "listed": [one.model_dump() for one in listed],
        "where": [one.description.where for one in listed],
    }
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    seen["files_left"] = len(list(default_run_dir().iterdir()))
    seen["listed_after"] = len(list_arenas())
    seen["files_swept"] = len(list(default_run_dir().iterdir()))
    return seen


def full_node(slow: int) -> dict[str, Any]:
    """Two that do not both fit, each of which would; then all but a little of what there is."""
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
    most = room_bytes([slow], tree) - SPARED
    with create_arena("most", most, nodes=[slow]) as arena:
        taken = bytes_by_node(os.getpid())[slow]
        huge = arena.huge_bytes()
    return {
        "room": room,
        "left": left,
        "refused": refused,
        "listed": listed,
        "most": most,
        "taken": taken,
        "huge": huge,
    }


def small_group() -> dict[str, Any]:
    """In a control group of 128 MiB; what the kernel counts as killed there."""
    group = CGROUPS / "arenas"
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    (group / "memory.max").write_text(str(128 * MIB))

    def greedy() -> str:
        (group / "cgroup.procs").write_text("0")
        create_arena("small", 16 * MIB, tier="slowest").close()
        try:
            create_arena("large", 256 * MIB, tier="slowest")
        except NoSpaceError as error:
            return str(error)
        return ""

    _, refused = in_child(greedy)
    events = dict(line.split() for line in (group / "memory.events").read_text().splitlines())
    group.rmdir()
    return {"refused": refused, "events": events}


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
