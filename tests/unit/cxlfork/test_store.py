"""A host's view of the images in a pool: found, checked once, held, let go when removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import image_name
from tiermem.cxlfork.inspect import describe, summary
from tiermem.cxlfork.store import KIND, Check, ImageStore, check_name
from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.layer.pool import Pool, create_pool, open_pool

from tests.unit.cxlfork.fork_daemon import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other processes are root's to trace")

MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "pool"
    create_pool(made, hosts=2, entries=8, size=64 * MIB)
    return made


@pytest.fixture
def hosts(path: Path, tmp_path: Path) -> Iterator[tuple[Pool, Pool]]:
    """Two openings of the pool that stand for two hosts."""
    with (
        open_pool(path, 0, run_dir=tmp_path / "run0") as a,
        open_pool(path, 1, run_dir=tmp_path / "run1") as b,
    ):
        yield a, b


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process to take, which has opened and closed already what it does at its start."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(["sleep", "600"], stdin=null, stdout=null, stderr=null)
    until(lambda: "nanosleep" in Path(f"/proc/{process.pid}/wchan").read_text())
    yield process.pid
    process.kill()
    process.wait()


def test_what_one_host_takes_another_finds_and_checks_once(
    hosts: tuple[Pool, Pool], sleeper: int
) -> None:
    store = ImageStore(hosts[1])
    assert store.scan() == []
    checkpoint(hosts[0], sleeper, "warm")
    (held,) = store.scan()
    assert (held.name, held.check, held.image) == ("warm", Check.UNCHECKED, None)
    assert summary(held)["command"] is None
    image = held.make_ready()
    assert held.check is Check.GOOD
    assert store.scan() == []
    assert held.make_ready() is image
    assert summary(held)["command"] == "sleep"
    found = describe(held)
    assert found["process"]["executable"].endswith("sleep")
    stored = sum(one["stored_bytes"] for one in found["memory"])
    assert stored == found["data_bytes"] == image.stored_pages * 4096
    assert [one["number"] for one in found["descriptors"]] == [0, 1, 2]
    store.close()


def test_a_damaged_image_is_named_and_stays_so(
    hosts: tuple[Pool, Pool], sleeper: int, path: Path
) -> None:
    checkpoint(hosts[0], sleeper, "warm")
    entry = hosts[0].find(image_name("warm"))
    assert entry is not None
    with path.open("r+b") as file:
        file.seek(entry.offset + entry.bytes - 1)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([last ^ 1]))
    store = ImageStore(hosts[1])
    held = store.find("warm")
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"'fork/warm' is damaged"):
            held.make_ready()
    assert summary(held)["state"] == "damaged"
    store.close()


def test_what_is_no_image_is_damaged_and_other_extents_are_none(hosts: tuple[Pool, Pool]) -> None:
    hosts[0].publish(image_name("junk"), b"junk" * 4096, kind=KIND)
    hosts[0].publish("weights", b"w" * 4096)
    hosts[0].publish(image_name("notes"), b"n" * 4096)
    store = ImageStore(hosts[1])
    assert [one.name for one in store.scan()] == ["junk"]
    with pytest.raises(DamagedError, match="junk"):
        store.find("junk").make_ready()
    store.close()


def test_a_removed_image_is_let_go_and_one_of_its_name_is_another(
    hosts: tuple[Pool, Pool], sleeper: int
) -> None:
    a, b = hosts
    store = ImageStore(b)
    checkpoint(a, sleeper, "warm")
    first = store.find("warm")
    first.make_ready()
    a.remove(image_name("warm"))
    assert a.collect() == 0  # b holds it until it has seen that it is gone
    checkpoint(a, sleeper, "warm")
    (second,) = store.scan()
    assert first.is_released
    assert second is store.find("warm")
    assert a.collect() == 1
    store.close()


def test_removed_by_another_host_it_is_gone_when_its_own_has_seen_that(
    hosts: tuple[Pool, Pool], sleeper: int
) -> None:
    a, b = hosts
    store = ImageStore(b)
    checkpoint(a, sleeper, "warm")
    store.remove("warm")
    assert store.find("warm").name == "warm"
    assert a.collect() == 0
    store.scan()
    with pytest.raises(MissingError, match="has no image 'warm'; it has none"):
        store.find("warm")
    assert a.collect() == 1


def test_an_image_is_lent_to_a_process_until_that_ends(
    hosts: tuple[Pool, Pool], sleeper: int
) -> None:
    a, b = hosts
    store = ImageStore(b)
    checkpoint(a, sleeper, "warm")
    held = store.find("warm")
    user = subprocess.Popen(["sleep", "600"])
    held.lend(user.pid)
    a.remove(image_name("warm"))
    store.scan()
    b.collect()
    assert a.collect() == 0
    user.kill()
    user.wait()
    b.collect()
    assert a.collect() == 1
    with pytest.raises(MissingError, match="was removed just now"):
        held.lend(os.getpid())


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(TiermemError, match="must be 1 to 100 bytes of printable text"):
        check_name(name)
