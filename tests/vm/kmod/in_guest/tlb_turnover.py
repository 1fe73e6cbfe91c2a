"""With tiermem_tlb pages that are read look accessed to the kernel; it comes and goes."""

from __future__ import annotations

import mmap
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

PAGES = 2000
WORDS = 512
READ_S = 0.1
TRIES = 5
KO = f"/opt/tiermem/artifacts/modules/{platform.release()}/tiermem_tlb.ko"
MODULE = Path("/sys/module/tiermem_tlb")


class Pages:
    """Small pages, all touched."""

    def __init__(self) -> None:
        mapped = mmap.mmap(-1, PAGES * WORDS * 8)
        mapped.madvise(mmap.MADV_NOHUGEPAGE)
        self.words = np.frombuffer(mapped, dtype=np.uint64).reshape(PAGES, WORDS)
        self.words[:] = 1

    def read(self) -> None:
        """One word of each."""
        assert self.words[:, 0].sum() == PAGES

    def seen_accessed(self) -> float:
        """Share that the kernel takes for accessed since that was last cleared."""
        start = f"{self.words.ctypes.data:x}-"
        smaps = Path("/proc/self/smaps").read_text()
        mapping = smaps[smaps.index(f"\n{start}") :]
        found = re.search(r"^Referenced: *(\d+) kB", mapping, re.MULTILINE)
        assert found is not None
        return int(found[1]) / (PAGES * 4)

    def share_seen(self, read_s: float) -> float:
        """Clear the accessed bits, read all pages for `read_s`, look at the bits."""
        self.read()
        Path("/proc/self/clear_refs").write_text("1")
        end = time.monotonic() + read_s
        self.read()
        while time.monotonic() < end:
            self.read()
        # However late that was, all are read after the time is over.
        self.read()
        return self.seen_accessed()


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture
def unloaded() -> Iterator[None]:
    subprocess.run(["rmmod", "tiermem_tlb"], check=True)
    yield
    if not MODULE.exists():
        subprocess.run(["insmod", KO], check=True)


def test_what_is_read_looks_accessed(pages: Pages) -> None:
    assert min(pages.share_seen(READ_S) for _ in range(TRIES)) == 1.0


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("period_ms", [0, 10_001])
def test_a_period_that_cannot_be_is_refused(period_ms: int) -> None:
    done = subprocess.run(["insmod", KO, f"period_ms={period_ms}"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Invalid" in done.stderr
    assert not MODULE.exists()


@pytest.mark.usefixtures("unloaded")
def test_it_comes_and_goes_under_load(pages: Pages) -> None:
    for _ in range(10):
        subprocess.run(["insmod", KO, "period_ms=1"], check=True)
        pages.read()
        subprocess.run(["rmmod", "tiermem_tlb"], check=True)
