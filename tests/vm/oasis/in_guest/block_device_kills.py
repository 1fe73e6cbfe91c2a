"""Nothing that was acknowledged as durable is lost, whoever is killed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from block_files import MOUNT, make_file_system, mounted, node, run
from commits import check
from committer import PATIENCE_S, Committer
from storage_pod import SLICE_BYTES, StoragePod, storage_pod

KILLS = 2


@pytest.fixture(scope="module")
def pod() -> Iterator[StoragePod]:
    with storage_pod() as made:
        yield made


@contextmanager
def committing(pod: StoragePod, journal_mode: str) -> Iterator[tuple[int, Committer]]:
    """A database on a file system on a block device, checked from the drive in the end."""
    number = pod.attach()
    make_file_system(number)
    with mounted(number) as folder:
        committer = Committer(folder / "db", journal_mode)
        try:
            with pod.used(number):
                committer.go_on(5)
                yield number, committer
        finally:
            acknowledged = committer.kill()
    run("e2fsck", "-f", "-n", node(number))
    with mounted(number) as folder:
        check(folder / "db", acknowledged)
    pod.detach(number)


def test_a_database_goes_on_when_either_is_killed(pod: StoragePod) -> None:
    with committing(pod, "WAL") as (number, committer):
        for _ in range(KILLS):
            pod.recover(number)
            committer.go_on(5)
            pod.kill_back()
            pod.serve_again(number)
            committer.go_on(5)


def test_a_database_survives_the_host_of_its_instance(pod: StoragePod) -> None:
    """All that it had in memory is gone: another device for the slice has what is on the drive."""
    number = pod.attach()
    make_file_system(number)
    run("mount", "-t", "ext4", node(number), str(MOUNT))
    committer = Committer(MOUNT / "db", "DELETE")
    try:
        committer.go_on(10)
        link = pod.replace_front()
        # What it says now it was told before.
        acknowledged = committer.acknowledged
        pod.back.call("serve", link=link, offset=0, size=SLICE_BYTES)
        other = int(pod.front.call("attach", link=link, bytes=SLICE_BYTES))
        with mounted(other, Path("/mnt/other")) as folder:
            check(folder / "db", acknowledged)
        pod.detach(other)
    finally:
        pod.back.call("delete_abandoned", number=number)
        committer.kill()
        run("umount", str(MOUNT))


def wait_in_flight(number: int, requests: int) -> None:
    """So many are under way."""
    deadline_s = time.monotonic() + PATIENCE_S
    while sum(map(int, Path(f"/sys/block/ublkb{number}/inflight").read_text().split())) < requests:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("victim", ["frontend", "backend"])
def test_fio_finds_what_it_wrote_when_either_is_killed(pod: StoragePod, victim: str) -> None:
    """All that can be in flight is, each time, at random; each block has a checksum and its
    number."""
    number = pod.attach()
    fio = [
        *("fio", "--name=verify", f"--filename={node(number)}", "--direct=1"),
        *("--ioengine=io_uring", "--iodepth=64", "--rw=randwrite", "--bs=4k-64k"),
        *("--size=64m", "--verify=crc32c", "--verify_fatal=1", "--fsync=64", "--randseed=3"),
    ]
    with subprocess.Popen(fio, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        with pod.used(number):
            for _ in range(KILLS):
                wait_in_flight(number, 1)
                pod.back.freeze()
                # Flushes are not counted.
                wait_in_flight(number, 60)
                if victim == "frontend":
                    pod.front.kill()
                    pod.back.thaw()
                    pod.recover(number)
                else:
                    pod.kill_back()
                    pod.serve_again(number)
        said = process.communicate(timeout=PATIENCE_S)[0].decode()
    assert process.returncode == 0, said
    counters = pod.front.call("counters", number=number)
    assert counters["requests"] > 100
    assert (counters["frontend"]["resubmitted"] > 0) == (victim == "backend")
    pod.detach(number)
