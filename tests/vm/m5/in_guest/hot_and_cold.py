"""A process whose memory begins on the slow node: a few pages hot, most cold, and the daemon.

    python3 hot_and_cold.py SECONDS [--until SHARE] [--kill] [--without MODULE] [--probes]
                            [--together] [--explain] [KEY=VALUE…]

Starts `tiermem m5 run` with the given keys, reads the hot pages until that share of them
(MOST) is on the fast node, SECONDS at most, then for STEADY_S more; ends the daemon with
SIGTERM, and prints what it saw as JSON: nodes of hot and cold pages before and
after, kernel switches before, while and after, the daemon's own status, its share of a
CPU in the steady part, what the device was told before and in the end. With --kill
the daemon is killed and started again at first, with --without on a kernel that has lost that
module meanwhile; with --probes it has a probe beside it that counts migrations, and only looks
on for a while first (dry_run); with --together the hot pages are neighbours.

With --explain it also explains this process, and again when it only looks on, some hot
pages have gone back to slow memory beside others that nobody reads, in frames that hot
pages have left.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tiermem.layer.placement import Policy, move_pages, query_pages, set_policy
from tiermem.layer.tracker_device import DEFAULT_PATH, TrackerDevice
from tiermem.m5.switches import (
    DAMON_STAT,
    DEMOTION,
    NUMA_BALANCING,
    WATERMARK_BOOST,
    WATERMARK_SCALE,
)
from tiermem.service.client import LocalClient

PAGE = 4096
PAGES = 24_000
HOT = 6_000  # three times the modelled cache
BACK = 300
LINES = 64
# An emulated guest on a busy host takes its time to index a machine's frames.
ANSWER_S = 120.0
START_S = 300.0
STEADY_S = 3.0
DRY_S = 6.0
AGAIN_S = 1.0
ROUNDS_S = 60.0
MOST = 0.95
PROBE_PERIOD_S = "0.5"
PROBE_COUNTS_S = 30.0
PROBED = "tiermem_m5_probe_migration_moved_pages_total{"


class Memory:
    """Pages on the slow node, in an order that no prefetcher follows."""

    def __init__(self, slow_node: int, *, together: bool) -> None:
        self.slow_node = slow_node
        self.words = self.make(PAGES)
        order = np.arange(PAGES)
        if not together:
            order = np.random.default_rng(7).permutation(PAGES)
        self.hot, self.cold = np.sort(order[:HOT]), np.sort(order[HOT:])
        self.draw = np.random.default_rng(8)
        self.sum = 0

    def make(self, pages: int) -> np.ndarray:
        """So many pages on the slow node, written to once."""
        set_policy(Policy.BIND, [self.slow_node])
        mapped = mmap.mmap(-1, pages * PAGE)
        # In a huge page, cold neighbours would rightly go up with a hot page.
        mapped.madvise(mmap.MADV_NOHUGEPAGE)
        words = np.frombuffer(mapped, dtype=np.uint64).reshape(pages, PAGE // 8)
        words[:] = 1
        set_policy(Policy.DEFAULT)
        return words

    def fill_what_was_left(self) -> None:
        """Put pages that stay cold, and some hot ones, where hot pages were before they moved."""
        self.newcomers = self.make(HOT)
        self.put_back(self.hot[:BACK])

    def put_back(self, pages: np.ndarray) -> None:
        """Have these on the slow node again."""
        base = self.words.ctypes.data
        move_pages(0, (base + pages * PAGE).astype(np.uint64), self.slow_node)

    def begin_anew(self) -> None:
        """Hot pages on the slow node, without what the kernel had set up to move on a read."""
        self.sum += int(self.words[self.hot, 0].sum())
        self.put_back(self.hot)

    def read_hot(self) -> None:
        """Some ten thousand reads of random lines of hot pages."""
        pages = self.hot[self.draw.integers(0, HOT, 20_000)]
        self.sum += int(self.words[pages, self.draw.integers(0, LINES, 20_000) * 8].sum())

    def nodes(self, pages: np.ndarray) -> dict[str, int]:
        """How many of `pages` lie on which node."""
        base = self.words.ctypes.data
        where = query_pages(0, (base + pages * PAGE).astype(np.uint64))
        nodes, counts = np.unique(where, return_counts=True)
        return dict(zip(map(str, nodes.tolist()), counts.tolist(), strict=True))


class Daemon:
    """`tiermem m5 run` in a folder of its own."""

    def __init__(self, folder: Path, keys: list[str]) -> None:
        self.socket = folder / "m5.sock"
        self.log = folder / "m5.log"
        keys = [f"socket={self.socket}", f"state_file={folder / 'm5.json'}", *keys]
        self.command = ["tiermem", "m5", "run", *(f"--set={key}" for key in keys)]
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdout=log)
        # Left running it would hold the modules, and every later test would fail for it.
        atexit.register(self.process.kill)
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(Exception):
                LocalClient(self.socket).get("/v1/status")
                return
            time.sleep(0.1)
        raise SystemExit(f"the daemon did not come up: {self.log.read_text()[-2000:]}")

    def wait_for_probes(self) -> None:
        """Until the configured probe answers."""
        end = time.monotonic() + START_S
        while 'probe_attached{probe="migration"} 1.0' not in self.metrics():
            if time.monotonic() > end:
                raise SystemExit(f"the probe is not attached: {self.log.read_text()[-2000:]}")
            time.sleep(0.5)

    def set(self, key: str, value: str) -> None:
        """As `tiermem m5 set`."""
        LocalClient(self.socket, timeout_s=ANSWER_S).post("/v1/set", {"key": key, "value": value})

    def status(self) -> dict[str, Any]:
        """As `tiermem m5 status`."""
        answer: dict[str, Any] = LocalClient(self.socket, timeout_s=ANSWER_S).get("/v1/status")
        return answer

    def probed_pages(self) -> int:
        """How many pages the probe saw the promoter move."""
        lines = [line for line in self.metrics().splitlines() if line.startswith(PROBED)]
        moves = [float(line.rsplit(" ", 1)[1]) for line in lines if "tiermem_promote" in line]
        return int(sum(moves))

    def wait_for_counts(self) -> None:
        """Until the probe has reported all moves; it does so each period, when it gets to run."""
        moved, end = self.status()["totals"]["moved_pages"], time.monotonic() + PROBE_COUNTS_S
        while self.probed_pages() < moved and time.monotonic() < end:
            time.sleep(float(PROBE_PERIOD_S))

    def metrics(self) -> str:
        """The Prometheus text."""
        return LocalClient(self.socket, timeout_s=ANSWER_S).metrics()

    def cpu_s(self) -> float:
        """User and system time so far, by the scheduler's own account."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def end(self, how: signal.Signals) -> int:
        """Signal it and wait; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(60)


def switches() -> dict[str, str]:
    """The kernel's switches that the daemon may touch."""
    paths = (DAMON_STAT, DEMOTION, NUMA_BALANCING, WATERMARK_BOOST, WATERMARK_SCALE)
    return {path: Path(path).read_text().strip() for path in paths if Path(path).exists()}


def device() -> str | None:
    """Configuration and state of the tracker device, where there is one."""
    if not DEFAULT_PATH.exists():
        return None
    with TrackerDevice() as tracker:
        return f"{tracker.config()} {tracker.info().state.name}"


def read_for(memory: Memory, seconds: float, *, until_fast: float | None = None) -> None:
    """Read hot pages for so long, or until that share of them is on the fast node."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            memory.read_hot()
        if until_fast and memory.nodes(memory.hot).get("0", 0) >= until_fast * HOT:
            return


def look_on(daemon: Daemon, memory: Memory) -> dict[str, Any]:
    """What the daemon decides while it may not move anything."""
    # Else the kernel itself moves what is read to the node that reads it.
    balancing = Path(NUMA_BALANCING)
    found = balancing.read_text()
    balancing.write_text("0")
    before = switches()
    read_for(memory, DRY_S)
    seen = {
        "dry_status": daemon.status(),
        "dry_nodes": {"hot": memory.nodes(memory.hot), "cold": memory.nodes(memory.cold)},
        "dry_changed_switches": switches() != before,
    }
    balancing.write_text(found)
    return seen


def explain(client: LocalClient) -> dict[str, Any]:
    """What the daemon says of this process now."""
    answer: dict[str, Any] = client.get("/v1/explain", {"pid": str(os.getpid()), "wait_s": "0"})
    return answer


def nodes_of(explained: dict[str, Any]) -> list[int]:
    """The node on which each page that is explained lies."""
    addresses = [int(page["address"], 16) for page in explained["pages"]]
    nodes: list[int] = query_pages(0, np.array(addresses, dtype=np.uint64)).tolist()
    return nodes


def rounds_made(client: LocalClient, more: int) -> Iterator[None]:
    """Goes on until so many rounds have begun and ended, and at least once."""

    def rounds() -> int:
        return int(client.get("/v1/status")["totals"]["rounds"])

    # One may be under way.
    last, end = rounds() + more + 1, time.monotonic() + ROUNDS_S
    yield
    while rounds() < last:
        if time.monotonic() > end:
            raise SystemExit(f"not {more} rounds within {ROUNDS_S:g} s")
        yield


def explanations(client: LocalClient, memory: Memory) -> dict[str, Any]:
    """Now, and again when some hot pages have gone back."""
    first = explain(client)
    # Out of its sight, for the first write to a page reads it, too.
    client.post("/v1/set", {"key": "scope.pids", "value": "[1]"})
    memory.fill_what_was_left()
    for _ in rounds_made(client, 2):
        time.sleep(0.05)
    client.post("/v1/set", {"key": "scope.pids", "value": "[]"})
    for _ in rounds_made(client, 2):
        read_for(memory, AGAIN_S)
    again = explain(client)
    return {"explained": first, "explained_again": again, "explained_on": nodes_of(again)}


def main() -> None:
    """See the module."""
    seconds, keys = float(sys.argv[1]), [word for word in sys.argv[2:] if "=" in word]
    until = sys.argv[sys.argv.index("--until") + 1] if "--until" in sys.argv else MOST
    if "--probes" in sys.argv:
        # What moved before the probe is there would be counted by one of the two only.
        keys += ['probes.names=["migration"]', f"probes.period_s={PROBE_PERIOD_S}", "dry_run=true"]
    seen: dict[str, Any] = {"switches_before": switches(), "device_before": device()}
    memory = Memory(slow_node=1, together="--together" in sys.argv)
    seen["before"] = {"hot": memory.nodes(memory.hot), "cold": memory.nodes(memory.cold)}
    with tempfile.TemporaryDirectory(prefix="m5-", dir="/run") as folder:
        daemon = Daemon(Path(folder), keys)
        if "--probes" in sys.argv:
            daemon.wait_for_probes()
            seen |= look_on(daemon, memory)
            daemon.set("dry_run", "false")
            memory.begin_anew()
        seen["switches_while"] = switches()
        if "--kill" in sys.argv:
            read_for(memory, STEADY_S)
            daemon.end(signal.SIGKILL)
            seen["switches_killed"] = switches()
            memory.put_back(memory.hot)  # so that what moves from here on is the next one's doing
            if "--without" in sys.argv:
                module = sys.argv[sys.argv.index("--without") + 1]
                subprocess.run(["rmmod", module], check=True)
            daemon.start()
        read_for(memory, seconds, until_fast=float(until))
        began_s, cpu_s = time.monotonic(), daemon.cpu_s()
        read_for(memory, STEADY_S)
        seen["cpu_share"] = (daemon.cpu_s() - cpu_s) / (time.monotonic() - began_s)
        # Nothing moves from here on, so that what is counted is one and the same.
        daemon.set("dry_run", "true")
        if "--probes" in sys.argv:
            daemon.wait_for_counts()
            seen["probed_pages"] = daemon.probed_pages()
        seen["after"] = {"hot": memory.nodes(memory.hot), "cold": memory.nodes(memory.cold)}
        seen["status"] = daemon.status()
        seen["metrics"] = daemon.metrics()
        if "--explain" in sys.argv:
            seen |= explanations(LocalClient(daemon.socket, timeout_s=ANSWER_S), memory)
        seen["exit"] = daemon.end(signal.SIGTERM)
        seen["socket_left"] = daemon.socket.exists()
        seen["log"] = daemon.log.read_text()
    seen["switches_after"] = switches()
    seen["device_after"] = device()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
