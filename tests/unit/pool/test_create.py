"""Making a pool, and what is refused: bad sizes, full disks, files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiermem.errors import DamagedError, MissingError, NoSpaceError, TiermemError
from tiermem.layer.pool import create_pool, open_pool

from tests.unit.pool.conftest import MIB, SIZE, Opener


def test_a_pool_that_is_there_is_not_overwritten_by_mistake(path: Path, opened: Opener) -> None:
    opened(0).publish("x", b"1")
    with pytest.raises(TiermemError, match="holds a pool already"):
        create_pool(path)
    with pytest.raises(TiermemError, match="a size of its own"):
        create_pool(path, size=SIZE * 2)
    create_pool(path, force=True, hosts=3)
    with open_pool(path) as pool:
        assert pool.entries() == []
        assert pool.directory.shape.hosts == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": 0, "size": SIZE}, "1 to 64"),
        ({"hosts": 65, "size": SIZE}, "1 to 64"),
        ({"entries": 0, "size": SIZE}, "1 to 65536"),
        ({"hosts": 4, "size": 4 * MIB}, "too few for 4 hosts"),
        ({"size": SIZE, "lease_s": 0.4}, "0.5 to 600"),
        ({"size": SIZE, "lease_s": 601}, "0.5 to 600"),
        ({"size": SIZE, "lease_s": float("nan")}, "0.5 to 600"),
        ({}, "give a size"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_and_leaves_nothing(
    tmp_path: Path, options: dict[str, float], said: str
) -> None:
    with pytest.raises(TiermemError, match=said):
        create_pool(tmp_path / "pool", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "pool").exists()


def test_a_disk_without_room_is_told_of_at_once(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    with pytest.raises(NoSpaceError, match="free"):
        create_pool(tmp_path / "pool", size=disk.f_blocks * disk.f_frsize * 2)
    assert not (tmp_path / "pool").exists()


def test_a_file_that_cannot_grow_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from tiermem.layer.pool import create_pool\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        f"create_pool(Path(sys.argv[1]), size={SIZE}, hosts=1)"
    )
    path = tmp_path / "pool"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "File too large (EFBIG)" in done.stderr
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"junk" * 4096])
def test_what_is_no_pool_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pool").write_bytes(content)
    with pytest.raises(TiermemError, match=r"holds no pool|is empty"):
        open_pool(tmp_path / "pool")


def test_a_pool_of_another_version_is_named_and_not_overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8] += 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="a pool of version 3, where this tiermem knows 2"):
        open_pool(path)
    with pytest.raises(TiermemError, match="--force makes it anew"):
        create_pool(path)
    assert path.read_bytes() == content


def test_a_pool_that_was_cut_short_is_refused(path: Path) -> None:
    os.truncate(path, SIZE // 2)
    with pytest.raises(DamagedError, match="shorter"):
        open_pool(path)


def test_places_that_are_none_are_named(tmp_path: Path, path: Path) -> None:
    with pytest.raises(MissingError, match="is not there"):
        open_pool(tmp_path / "nowhere")
    with pytest.raises(TiermemError, match=r"nor a file|Is a directory"):
        open_pool(tmp_path)
    with pytest.raises(TiermemError, match="is no devdax device"):
        open_pool(Path("/dev/null"))
    with pytest.raises(TiermemError, match="host 2: 0 to 1 is allowed"):
        open_pool(path, 2, run_dir=tmp_path / "run")
