"""Restores in a cgroup that has less memory than the image: what must be copied does not fit,
and what is shared does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import image_name, open_image
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Ghost, Source, restore
from tiermem.errors import TiermemError
from tiermem.layer.pool import Pool, create_pool, open_pool

DAX = Path("/dev/dax0.0")
CGROUP = Path("/sys/fs/cgroup/small")
MIB = 1 << 20
# What it has was just written, so that all of it is in use when it is taken.
LARGE = "import time; kept = bytearray(b'x' * (64 << 20)); print(flush=True); time.sleep(1000)"


@pytest.fixture
def pool() -> Iterator[Pool]:
    create_pool(DAX, hosts=1, force=True)
    with open_pool(DAX, 0) as opened:
        yield opened


@pytest.fixture
def source(pool: Pool) -> Iterator[Source]:
    command = [sys.executable, "-c", LARGE]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=null, stdout=subprocess.PIPE, stderr=null) as process:
        assert process.stdout is not None
        process.stdout.readline()
        checkpoint(pool, process.pid, "it")
        process.kill()
    entry = pool.find(image_name("it"))
    assert entry is not None
    with open_image(pool, "it") as image, Source(pool, image, entry) as opened:
        yield opened


@pytest.fixture
def ghost() -> Iterator[Ghost]:
    """In a cgroup of 24 MiB."""
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory")
    CGROUP.mkdir()
    (CGROUP / "memory.max").write_text(str(24 * MIB))
    with Ghost() as made:
        (CGROUP / "cgroup.procs").write_text(str(made.pid))
        yield made
    deadline_s = time.monotonic() + 20
    while (CGROUP / "cgroup.procs").read_text():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    CGROUP.rmdir()


def test_what_is_copied_ahead_does_not_fit(source: Source, ghost: Ghost) -> None:
    with pytest.raises(TiermemError, match="half-made, killed by SIGKILL"):
        restore(source, ghost, Policy.HT, (0, 1, 2))
    assert not Path(f"/proc/{ghost.pid}").exists()


def test_what_is_shared_does(source: Source, ghost: Ghost) -> None:
    process = restore(source, ghost, Policy.MOW, (0, 1, 2))
    assert int((CGROUP / "memory.current").read_text()) < 16 * MIB
    process.kill()
