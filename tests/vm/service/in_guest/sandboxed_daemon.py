"""Run in the guest as a service: a daemon that tries all that tiering needs, and what it must not.

It answers GET /tried on its local API with what succeeded, so the unit's rights,
the socket's, and systemd's notices are all tried with the real parts.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tiermem.layer.pages import find_owners, read_flags, read_mappings, read_pagemap
from tiermem.layer.placement import move_pages
from tiermem.layer.topology import read_topology
from tiermem.service.api import LocalApi
from tiermem.service.lifecycle import run_until_signalled
from tiermem.service.metrics import Metrics
from tiermem.service.notify import Notifier
from tiermem.service.socket_file import socket_path


def _rewrite(path: str) -> None:
    file = Path(path)
    file.write_text(file.read_text().split()[0])


def _look_at_another_users_process(pid: int) -> None:
    mapping = next(m for m in read_mappings(pid) if "[stack]" in m.path)
    found = read_pagemap(pid, mapping.start, mapping.bytes // 4096)
    pfns = found.pfns[found.present]
    assert len(pfns)
    assert len(find_owners(pfns, [pid])) == len(pfns)
    read_flags(pfns)
    addresses = found.addresses[found.present]
    assert move_pages(pid, np.ascontiguousarray(addresses), 0, include_shared=True).counts()


def attempts(pid: int) -> dict[str, Callable[[], object]]:
    """What is tried, by name; `no: ` before what the unit must refuse."""
    return {
        "topology": read_topology,
        "other user's pages": lambda: _look_at_another_users_process(pid),
        "demotion switch": lambda: _rewrite("/sys/kernel/mm/numa/demotion_enabled"),
        "numa_balancing": lambda: _rewrite("/proc/sys/kernel/numa_balancing"),
        "watermarks": lambda: _rewrite("/proc/sys/vm/watermark_scale_factor"),
        "watermark boost": lambda: _rewrite("/proc/sys/vm/watermark_boost_factor"),
        "damon": lambda: _rewrite("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"),
        "state": lambda: Path("/var/lib/tiermem/try").write_text("x"),
        "no: write /etc": lambda: Path("/etc/tiermem-try").write_text("x"),
        "no: other sysctls": lambda: _rewrite("/proc/sys/kernel/panic"),
        "no: network": lambda: socket.socket(socket.AF_INET).close(),
        "no: memory device": lambda: os.open("/dev/mem", os.O_RDONLY),
        "no: mount": lambda: os.unshare(os.CLONE_NEWNS),  # type: ignore[attr-defined]
        "no: become another user": lambda: os.setuid(1),
    }


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


async def main(pid: int) -> None:
    """Serve what was tried until systemd says stop."""
    notifier = Notifier()
    tried = {name: _outcome(attempt) for name, attempt in attempts(pid).items()}
    api = LocalApi(socket_path("m5"), Metrics("m5"))

    async def read(_query: Mapping[str, str]) -> Any:
        return {"tried": tried, "watchdog_s": notifier.watchdog_interval_s}

    async def write(_body: Mapping[str, Any]) -> Any:
        return {}

    api.get("/tried", read)
    api.post("/set", write)
    await api.start()
    notifier.ready("serving")
    try:
        await notifier.feed_watchdog()
    finally:
        notifier.stopping()
        await api.stop()


if __name__ == "__main__":
    run_until_signalled(main(int(sys.argv[1])))
