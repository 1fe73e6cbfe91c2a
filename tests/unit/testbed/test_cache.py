"""The cache: complete or absent, by content, one builder at a time."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.service.user_cache import user_cache
from tiermem.testbed import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that only this test sees."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tiermem"


def write_one(folder: Path) -> None:
    """A build that leaves one file and a mark of having run."""
    (folder / "made").write_text("1")
    with (user_cache() / "builds").open("a") as log:
        log.write("built\n")


def builds() -> int:
    """How often `write_one` ran."""
    return len((user_cache() / "builds").read_text().splitlines())


def test_a_stage_is_built_once() -> None:
    first = cache.stage("root", "abc", write_one)
    assert (first / "made").read_text() == "1"
    assert cache.stage("root", "abc", write_one) == first
    assert builds() == 1


def test_a_build_that_fails_leaves_nothing(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        cache.stage("root", "abc", fail)
    assert [f.name for f in (own_cache / "root").iterdir() if not f.name.endswith(".lock")] == []
    assert (cache.stage("root", "abc", write_one) / "made").exists()


def test_what_a_killed_build_left_is_cleared(own_cache: Path) -> None:
    (own_cache / "root/.abc.part").mkdir(parents=True)
    (own_cache / "root/.abc.part/half").write_text("")
    assert [f.name for f in cache.stage("root", "abc", write_one).iterdir()] == ["made"]


def test_two_processes_build_it_once() -> None:
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=cache.stage, args=("root", "abc", write_one)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert builds() == 1


def test_the_least_recently_used_goes() -> None:
    for age, name in enumerate(["a", "b", "c"]):
        cache.stage("image", name, write_one, keep=3)
        os.utime(user_cache() / "image" / name, (age, age))
    cache.stage("image", "a", write_one, keep=3)
    cache.stage("image", "d", write_one, keep=3)
    left = {f.name for f in (user_cache() / "image").iterdir() if f.name[0] != "."}
    assert left == {"a", "c", "d"}


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_digests_differ_unless_all_parts_are_equal(one: list[bytes], other: list[bytes]) -> None:
    assert (cache.digest_of(*one) == cache.digest_of(*other)) == (one == other)


def test_a_digest_of_files_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    (tmp_path / "y").write_text("2")
    both = [tmp_path / "x", tmp_path / "y"]
    before = cache.digest_of_files(tmp_path, both)
    assert cache.digest_of_files(tmp_path, reversed(both)) == before
    (tmp_path / "y").write_text("3")
    changed = cache.digest_of_files(tmp_path, both)
    (tmp_path / "y").rename(tmp_path / "z")
    renamed = cache.digest_of_files(tmp_path, [tmp_path / "x", tmp_path / "z"])
    assert len({before, changed, renamed}) == 3


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert cache.free_bytes(tmp_path / "a/b/c") > 0
