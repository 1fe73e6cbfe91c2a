"""A slice of the other host's NVMe drive as a block device."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from block_files import BLOCK, Direct, make_file_system, mounted, node, queue, run
from storage_pod import DRIVE, MIB, StoragePod, storage_pod
from tiermem.errors import TiermemError

BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F
OFFSET, SIZE = 32 * MIB, 48 * MIB


@pytest.fixture(scope="module")
def pod() -> Iterator[StoragePod]:
    with storage_pod() as made:
        yield made


@pytest.fixture
def number(pod: StoragePod) -> Iterator[int]:
    """A block device for a slice in the middle of the drive."""
    made = pod.attach(OFFSET, SIZE)
    yield made
    pod.detach(made)


def test_it_says_what_it_is(number: int) -> None:
    assert int(run("blockdev", "--getsize64", node(number))) == SIZE
    assert (queue(number, "write_cache"), queue(number, "fua")) == ("write back", "1")
    assert queue(number, "logical_block_size") == str(BLOCK)
    assert queue(number, "max_hw_sectors_kb") == "64"
    assert int(queue(number, "discard_max_bytes")) > 0
    assert int(queue(number, "write_zeroes_max_bytes")) > 0
    assert int(Path(f"/sys/block/ublkb{number}/mq/0/nr_tags").read_text()) == 64


def test_its_blocks_are_the_slices(number: int) -> None:
    """Random writes, discards and zeroes, against an array and the drive itself."""
    rng = random.Random(1)
    blocks = 256
    expected = bytearray(rng.randbytes(blocks * BLOCK))
    with Direct(node(number)) as device:
        device.write(0, bytes(expected))
        for _ in range(150):
            first = rng.randrange(blocks - 32)
            size = rng.randrange(1, 33) * BLOCK
            at = first * BLOCK
            kind = rng.choice(["write", "zero", "read"])
            if kind == "read":
                assert device.read(at, size) == expected[at : at + size]
                continue
            data = rng.randbytes(size) if kind == "write" else bytes(size)
            expected[at : at + size] = data
            if kind == "write":
                device.write(at, data)
            else:
                fcntl.ioctl(device.fd, BLKZEROOUT, struct.pack("QQ", at, size))
        device.flush()
        assert device.read(0, blocks * BLOCK) == expected
        with Direct(DRIVE) as drive:
            assert drive.read(OFFSET, blocks * BLOCK) == expected
        # What is discarded may be anything; the drive of the testbed makes it zeros.
        fcntl.ioctl(device.fd, BLKDISCARD, struct.pack("QQ", 0, MIB))
        assert device.read(0, MIB) == bytes(MIB)


def test_its_end_is_the_slices(number: int) -> None:
    with Direct(DRIVE) as drive:
        around = drive.read(OFFSET - BLOCK, BLOCK), drive.read(OFFSET + SIZE, BLOCK)
        with Direct(node(number)) as device:
            for at in (0, SIZE - BLOCK):
                device.write(at, b"e" * BLOCK)
            with pytest.raises(OSError, match="No space left"):
                device.write(SIZE, b"e" * BLOCK)
        assert drive.read(OFFSET + SIZE - BLOCK, BLOCK) == b"e" * BLOCK
        assert (drive.read(OFFSET - BLOCK, BLOCK), drive.read(OFFSET + SIZE, BLOCK)) == around


def test_a_file_system_keeps_its_files(number: int) -> None:
    make_file_system(number)
    rng = random.Random(2)
    hashes = {}
    with mounted(number) as folder:
        for name in range(40):
            data = rng.randbytes(rng.randrange(1, 300_000))
            (folder / str(name)).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
        for name in range(0, 40, 3):
            (folder / str(name)).unlink()
            del hashes[name]
        run("fstrim", str(folder))
    run("e2fsck", "-f", "-n", node(number))
    run("blockdev", "--flushbufs", node(number))
    with mounted(number) as folder:
        found = {
            int(file.name): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.iterdir()
            if file.is_file()
        }
    assert found == hashes


def test_a_slice_that_is_read_only_is_a_device_that_is_read_only(pod: StoragePod) -> None:
    number = pod.attach(OFFSET, SIZE, is_read_only=True)
    try:
        assert run("blockdev", "--getro", node(number)) == "1\n"
        fd = os.open(node(number), os.O_RDWR)
        with pytest.raises(OSError, match="not permitted"):
            os.pwrite(fd, bytes(BLOCK), 0)
        assert len(os.pread(fd, BLOCK, 0)) == BLOCK
        os.close(fd)
    finally:
        pod.detach(number)


def test_a_backend_that_writes_through_leaves_no_cache_to_flush(pod: StoragePod) -> None:
    number = pod.attach(OFFSET, SIZE, is_write_through=True)
    assert queue(number, "write_cache") == "write through"
    pod.detach(number)


def test_what_the_backends_device_cannot_do_the_kernel_does_otherwise(pod: StoragePod) -> None:
    """A file in memory has no way to zero a range; the kernel writes zeros."""
    disk = Path("/dev/shm/disk")
    disk.write_bytes(b"x" * 2 * MIB)
    pod.kill_back()
    pod.back.call("open", path=str(disk))
    number = pod.attach(0, 2 * MIB)
    with Direct(node(number)) as device:
        fcntl.ioctl(device.fd, BLKZEROOUT, struct.pack("QQ", BLOCK, MIB))
        assert device.read(0, 2 * BLOCK) == b"x" * BLOCK + bytes(BLOCK)
        assert pod.front.call("counters", number=number)["failed"] == 1
    pod.detach(number)
    assert disk.read_bytes() == b"x" * BLOCK + bytes(MIB) + b"x" * (MIB - BLOCK)
    disk.unlink()
    pod.kill_back()
    pod.back.call("open", path=str(DRIVE))


def test_a_device_in_use_is_not_taken_away(pod: StoragePod, number: int) -> None:
    make_file_system(number)
    with mounted(number) as folder:
        with pytest.raises(TiermemError, match="in use; unmount it first"):
            pod.front.call("detach", number=number)
        (folder / "still").write_text("there")
        os.sync()


def test_requests_fail_in_their_time_where_no_backend_answers(pod: StoragePod) -> None:
    number = pod.attach(OFFSET, SIZE, timeout_s=4)
    with Direct(node(number)) as device:
        device.write(0, b"b" * BLOCK)
        pod.kill_back()
        begin_s = time.monotonic()
        with pytest.raises(OSError, match="Input/output") as caught:
            device.read(0, BLOCK)
        assert caught.value.errno == errno.EIO
        assert time.monotonic() - begin_s >= 4
        # The backend may still run it: the next one is not even sent.
        with pytest.raises(OSError, match="Input/output"):
            device.write(0, b"c" * BLOCK)
        counters = pod.front.call("counters", number=number)
        assert (counters["failed"], counters["frontend"]["timed_out"]) == (2, 1)
        pod.serve_again(number, OFFSET, SIZE)
        assert device.read(0, BLOCK) == b"b" * BLOCK
        device.write(0, b"d" * BLOCK)
        assert device.read(0, BLOCK) == b"d" * BLOCK
    pod.detach(number)


def test_a_device_without_a_backend_can_be_taken_away_by_force(pod: StoragePod) -> None:
    number = pod.attach(OFFSET, SIZE)
    fd = os.open(node(number), os.O_RDWR)
    os.pwrite(fd, b"l" * BLOCK, 0)
    pod.kill_back()
    pod.front.call("detach", number=number, is_forced=True)
    with pytest.raises(OSError, match="Input/output"):
        os.fsync(fd)
    os.close(fd)
    assert not Path(node(number)).exists()
    pod.back.call("open", path=str(DRIVE))
    pod.front.call("remove", link=pod.link)


def test_a_device_that_was_left_waits_for_who_takes_it_over(pod: StoragePod) -> None:
    number = pod.attach(OFFSET, SIZE)
    with Direct(node(number)) as device:
        device.write(0, b"1" * BLOCK)
        old, link = pod.link, pod.new_link()
        with pytest.raises(TiermemError, match="another process serves it"):
            pod.front.call("attach", link=link, recovers=number, bytes=SIZE, recovery_timeout_s=0)
        pod.front.call("leave", number=number)
        pod.back.call("drop", link=old)
        pod.front.call("remove", link=old)
        pod.back.call("serve", link=link, offset=OFFSET, size=SIZE)
        with pytest.raises(TiermemError, match=f"its bytes is {SIZE}, and would be {MIB}"):
            pod.front.call("attach", link=link, recovers=number, bytes=MIB)
        pod.front.call("attach", link=link, recovers=number, bytes=SIZE)
        assert device.read(0, BLOCK) == b"1" * BLOCK
    pod.detach(number)


def test_without_a_backend_for_all_of_it_there_is_no_device(pod: StoragePod) -> None:
    link = pod.new_link()
    with pytest.raises(TiermemError, match="no backend has answered in time"):
        pod.front.call("attach", link=link, bytes=SIZE, answer_timeout_s=0.2)
    pod.front.call("remove", link=link)
    link = pod.new_link()
    pod.back.call("serve", link=link, offset=OFFSET, size=SIZE)
    with pytest.raises(TiermemError, match="cannot be read: OUT_OF_RANGE"):
        pod.front.call("attach", link=link, bytes=SIZE + BLOCK)
    pod.back.call("drop", link=link)
    pod.front.call("remove", link=link)
    assert not list(Path("/dev").glob("ublkb*"))


def test_what_is_not_there_cannot_be_taken_over(pod: StoragePod) -> None:
    link = pod.new_link()
    with pytest.raises(TiermemError, match="/dev/ublkb77: there is no such device"):
        pod.front.call("attach", link=link, recovers=77, bytes=SIZE)
    with pytest.raises(TiermemError, match="multiples of the link's blocks"):
        pod.front.call("attach", link=link, bytes=SIZE + 512)
    pod.front.call("remove", link=link)
