"""A block device (ublk) over a slice of an NVMe drive, on both kernels; who is killed, on 6.12,
which notices a dead server late.

Both hosts are in one guest, with a pool in a file: what is tested is the device, what becomes
of requests, and what is on the drive when somebody was killed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import run_cases

CASES = "tests/vm/oasis/in_guest"
# The kernel says so where requests fail that are meant to.
EXPECTED = (
    *("I/O error", "Buffer I/O", "EXT4-fs", "JBD2", "Aborting journal", "beyond end of device"),
    *("limit=0", "operation not supported error", "hrtimer: interrupt"),
    "DL replenish lagged too much",
)

_marks = itertools.count()


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def drive_guest(request: pytest.FixtureRequest) -> Guest:
    """A guest with an NVMe drive."""
    guest: Guest = request.getfixturevalue(request.param)
    guest.check(["modprobe", "-a", "nvme", "ublk_drv", "ext4"])
    return guest


@pytest.fixture(autouse=True)
def clean_kernel_log(drive_guest: Guest) -> Iterator[None]:
    """Fails a test during which the kernel had something else to complain about."""
    mark = f"oasis test {next(_marks)}"
    drive_guest.check(["sh", "-c", f"echo '<4>{mark}' > /dev/kmsg"])
    yield
    log = drive_guest.check(["dmesg", "--level=emerg,alert,crit,err,warn"]).stdout
    assert mark in log
    said = log.rpartition(mark)[2].splitlines()
    assert [line for line in said if line and not any(part in line for part in EXPECTED)] == []


def test_a_slice_is_a_block_device(drive_guest: Guest) -> None:
    run_cases(drive_guest, CASES, "block_device.py")


@pytest.mark.parametrize("drive_guest", ["dax_guest_lts"], indirect=True, ids=["lts"])
def test_nothing_acknowledged_is_lost_by_who_is_killed(drive_guest: Guest) -> None:
    run_cases(drive_guest, CASES, "block_device_kills.py")
