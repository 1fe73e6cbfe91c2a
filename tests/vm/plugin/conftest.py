"""What the plugin's tests share: the device from the host, its programs in the guest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiermem.native._uapi import lib
from tiermem.testbed import Guest

from bench.host_bar import HostBar, read_pac

PROGRAMS = "/opt/tiermem/src/tests/vm/plugin/in_guest"
PAGE_BYTES = 4096


@dataclass(frozen=True)
class Sweep:
    """One run of in_guest/sweep.c. See there."""

    pages: int
    lines: int = 64
    hot_pages: int = 0
    passes: int = 1
    way: str = "r"
    """r: reads, w: writes, s: string stores of whole pages."""
    node: int = 1


@dataclass(frozen=True)
class Swept:
    """What the model saw of a sweep's passes.

    frames: the buffer's page frames, in order. reads: PAC's reads of each frame.
    """

    frames: npt.NDArray[np.int64]
    reads: npt.NDArray[np.uint64]
    before: Any
    after: Any


@dataclass
class Device:
    """The tracker device of a guest, driven from the host."""

    guest: Guest
    bar: HostBar
    cxl: tuple[int, int] = field(default=(0, 0))

    def fill_in_config(self, **trackers: Any) -> None:
        """CXL range as tier 1 and tracked; keyword hpt=, hwt= set a tracker's fields."""
        config = self.bar.regs.config
        base, size = self.cxl
        config.ranges[0].base, config.ranges[0].bytes, config.ranges[0].tier = base, size, 1
        config.nr_ranges = 1
        config.exact_enabled = 1 << lib.TIERMEM_LIST_PAC
        config.track_base, config.track_bytes = base, size
        for name in ("hpt", "hwt"):
            tracker = getattr(config, name)
            values = {"enabled": 1, "algorithm": 0, "rows": 4, "columns": 32768}
            values |= {"counter_bits": 14, "entries": 25, "period_reads": 0, "period_ns": 0}
            for key, value in (values | trackers.get(name, {})).items():
                setattr(tracker, key, value)

    def configure(self, **trackers: Any) -> int:
        """Fill in and take the configuration; the command's error."""
        self.fill_in_config(**trackers)
        return self.bar.command(lib.TIERMEM_CMD_CONFIGURE)

    def arm(self) -> None:
        assert self.bar.command(lib.TIERMEM_CMD_ARM) == lib.TIERMEM_HWERR_NONE

    def disarm(self) -> None:
        assert self.bar.command(lib.TIERMEM_CMD_DISARM) == lib.TIERMEM_HWERR_NONE

    def query(self, kind: int, entries: int = 25, keep: int = 0) -> list[tuple[int, int]]:
        assert self.bar.command(lib.TIERMEM_CMD_QUERY, kind, entries, keep) == 0
        return self.bar.list_entries(kind)

    def pac(self) -> npt.NDArray[np.uint64]:
        return read_pac(self.guest.pac_path)

    def sweep(self, sweep: Sweep) -> Swept:
        """Fill the buffer idle, do the passes armed, and say what was counted."""
        with _waiting_sweep(self.guest, sweep) as frames:
            pac = self.pac()
            before = self.bar.clock()
            self.arm()
            script = "pkill -USR1 -x sweep; while pgrep -x sweep >/dev/null; do sleep 0.05; done"
            self.guest.check(["sh", "-c", script], timeout_s=240)
            self.disarm()
            reads = (self.pac() - pac)[frames]
            return Swept(frames, reads, before, self.bar.clock())


@contextmanager
def _waiting_sweep(guest: Guest, sweep: Sweep) -> Iterator[npt.NDArray[np.int64]]:
    frames = "/opt/tiermem/out/sweep.frames"
    arguments = f"{sweep.pages} {sweep.lines} {sweep.hot_pages} {sweep.passes}"
    arguments += f" {sweep.way} /tmp/sweep.frames"
    script = (
        "rm -f /tmp/sweep.frames; "
        f"setsid numactl --membind={sweep.node} /tmp/sweep {arguments} >/dev/null 2>&1 & "
        f"until [ $(wc -l 2>/dev/null </tmp/sweep.frames || echo 0) = {sweep.pages} ]; "
        f"do sleep 0.1; done; cp /tmp/sweep.frames {frames}"
    )
    guest.check(["sh", "-c", script], timeout_s=240)
    try:
        yield np.loadtxt(guest.out_dir / Path(frames).name, dtype=np.int64)
    finally:
        guest.exec(["pkill", "-KILL", "-x", "sweep"])


def _cxl_range(guest: Guest) -> tuple[int, int]:
    """Base and bytes of the CXL window's RAM, from /proc/iomem."""
    for line in guest.check(["cat", "/proc/iomem"]).stdout.splitlines():
        span, _, name = line.strip().partition(" : ")
        if name.startswith("CXL Window"):
            first, last = (int(word, 16) for word in span.split("-"))
            return first, last - first + 1
    raise AssertionError("the guest has no CXL window")


@pytest.fixture(scope="session")
def programs(guest: Guest) -> Guest:
    """The guest, with sweep and doorbell compiled under /tmp."""
    for name in ("sweep", "doorbell"):
        guest.check(["gcc", "-O2", "-o", f"/tmp/{name}", f"{PROGRAMS}/{name}.c"], timeout_s=240)
    return guest


@pytest.fixture
def device(programs: Guest) -> Iterator[Device]:
    """A configured, idle device; left idle."""
    with HostBar(programs.bar_path) as bar:
        made = Device(programs, bar, _cxl_range(programs))
        made.disarm()
        assert made.configure() == lib.TIERMEM_HWERR_NONE
        try:
            yield made
        finally:
            made.disarm()
