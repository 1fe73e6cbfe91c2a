"""A restore that fails says what it was about, and leaves no process."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiermem.cxlfork import restore as restore_module
from tiermem.cxlfork.image import Image
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Ghost, Source, restore
from tiermem.cxlfork.restoring import fitness
from tiermem.errors import (
    DamagedError,
    KernelError,
    MissingError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.native._fork import ffi

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import Cloner

OPENING = """
import mmap, os, sys, time
folder = sys.argv[1]
os.mkdir(folder + "/cwd")
os.chdir(folder + "/cwd")
for name in ("mapped", "opened"):
    open(folder + "/" + name, "w").write("x" * 4096)
file = os.open(folder + "/mapped", os.O_RDONLY)
mapped = mmap.mmap(file, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
opened = os.open(folder + "/opened", os.O_RDONLY)
os.dup2(opened, 77)
os.close(opened)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def source(start: Starter, cloner: Cloner, tmp_path: Path) -> Source:
    """Of a program that has files open and mapped in tmp_path."""
    target = start(OPENING, tmp_path, python=True)
    assert target.line() == "ready"
    return cloner.take(target)


@pytest.fixture
def _unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if files, and the image, changed right after they were looked at."""
    monkeypatch.setattr(restore_module, "check_files", lambda _image: None)
    monkeypatch.setattr(Image, "check_again", lambda _image: None)


def failure_of(source: Source) -> TiermemError:
    """What a restore says; its ghost is gone with all that it had made."""
    ghost = Ghost()
    with pytest.raises(TiermemError) as caught:
        restore(source, ghost, Policy.MOW, (0, 1, 2))
    assert not Path(f"/proc/{ghost.pid}").exists()
    return caught.value


def refusal_of(source: Source) -> str:
    """The same where the ghost is not used at all."""
    with Ghost() as ghost:
        with pytest.raises(MissingError) as caught:
            restore(source, ghost, Policy.MOW, (0, 1, 2))
        assert Path(f"/proc/{ghost.pid}").exists()
    return str(caught.value)


def test_files_are_looked_at_before_anything_is_begun(source: Source, tmp_path: Path) -> None:
    (tmp_path / "mapped").write_text("y")
    (tmp_path / "opened").unlink()
    (tmp_path / "cwd").rmdir()
    said = refusal_of(source)
    assert f"{tmp_path}/mapped has 1 bytes and had 4096" in said
    assert f"{tmp_path}/opened: No such file or directory" in said
    assert f"its working folder {tmp_path}/cwd is not there" in said


def test_a_file_of_the_same_size_that_was_written_to_is_another(
    source: Source, tmp_path: Path
) -> None:
    os.utime(tmp_path / "mapped")
    assert f"{tmp_path}/mapped was modified since" in refusal_of(source)


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opened", "open descriptor 77, a file ({}/opened)"),
        ("mapped", "{}/mapped: No such file"),
        ("cwd", "enter {}/cwd"),
    ],
)
def test_what_is_gone_by_then_is_named(
    source: Source, tmp_path: Path, name: str, said: str
) -> None:
    if name == "mapped":
        # Both are of one file: what is open is missed first, unless it is there.
        _close_descriptors_of(source, "mapped")
    path = tmp_path / name
    path.rmdir() if path.is_dir() else path.unlink()
    error = failure_of(source)
    assert isinstance(error, MissingError)
    assert said.format(tmp_path) in str(error)


@pytest.mark.usefixtures("_unchecked")
def test_what_has_changed_by_then_is_named(source: Source, tmp_path: Path) -> None:
    os.utime(tmp_path / "mapped")
    assert str(failure_of(source)).endswith(f"{tmp_path}/mapped: was modified since")


def test_what_takes_too_long_is_given_up(source: Source) -> None:
    ghost = Ghost()
    os.kill(ghost.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutExpiredError, match="not done within"):
        restore(source, ghost, Policy.MOW, (0, 1, 2), timeout_s=0.05)
    assert not Path(f"/proc/{ghost.pid}").exists()


@pytest.mark.usefixtures("_unchecked")
def test_a_limit_that_may_not_be_had_is_named(source: Source) -> None:
    limits = _process(source).limits
    # The number of files, which nobody may have more of than fs.nr_open.
    limits[7].soft = limits[7].hard = 1 << 40
    error = failure_of(source)
    assert isinstance(error, KernelError)
    assert "set the limit RLIMIT_NOFILE: Operation not permitted" in str(error)


def test_damage_since_the_image_was_opened_is_seen_wherever_it_is(source: Source) -> None:
    front = memoryview(ffi.buffer(_writable_front(source), source.image.header.data_at))
    for at in np.linspace(0, len(front) - 1, 20).astype(int).tolist():
        front[at] ^= 1
        with Ghost() as ghost, pytest.raises(DamagedError, match="image 'it' is damaged"):
            restore(source, ghost, Policy.MOW, (0, 1, 2))
        front[at] ^= 1
    source.image.check_again()


@pytest.mark.usefixtures("_unchecked")
def test_registers_that_cannot_be_are_named(source: Source) -> None:
    # A code segment of the kernel.
    _thread(source).registers[17] = 0x10
    assert "set the registers of thread" in str(failure_of(source))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpu_flags": "fpu warp_drive"}, "made on a CPU with warp_drive, which this one lacks"),
        ({"vdso_checksum": 1}, "another: restore it on a host with the same kernel"),
        ({"xfeatures": 1 << 62}, "has CPU state that this host does not keep"),
    ],
)
def test_another_kind_of_host_is_refused(source: Source, change: dict[str, Any], said: str) -> None:
    image = source.image
    image.__dict__["host"] = dataclasses.replace(image.host, **change)
    with pytest.raises(MissingError, match=said):
        fitness.check_host(image)


def test_numbers_that_this_host_does_not_have_are_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tids = [thread.tid for thread in source.image.threads]
    limit = tmp_path / "pid_max"
    limit.write_text(f"{max(tids)}\n")
    monkeypatch.setattr(fitness, "PID_MAX", limit)
    with pytest.raises(MissingError, match=f"numbers here end below {max(tids)}: raise kernel"):
        fitness.check_host(source.image)


def _writable_front(source: Source) -> Any:
    """The image's first bytes, in the pool: as damage that was not seen."""
    pool = source._pool
    return ffi.from_buffer(
        "struct image_header *",
        pool.view_of(source.at, source.image.header.data_at, writable=True),
        require_writable=True,
    )


def _process(source: Source) -> Any:
    return _writable_front(source).process


def _part(source: Source, part: str, structure: str) -> Any:
    header = _writable_front(source)
    at = int(ffi.cast("uintptr_t", header)) + getattr(header, part).at
    return ffi.cast(f"{structure} *", at)


def _thread(source: Source) -> Any:
    return _part(source, "threads", "struct image_thread")[0]


def _close_descriptors_of(source: Source, name: str) -> None:
    fds = _part(source, "fds", "struct image_fd")
    for place, fd in enumerate(source.image.descriptors):
        if fd.file is not None and fd.file.name.endswith(name):
            fds[place].kind = 2  # an eventfd in its place
