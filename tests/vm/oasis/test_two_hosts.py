"""Host a has no drive, and uses host b's by the CXL memory that both share."""

from __future__ import annotations

from tiermem.testbed import Pod
from tiermem.testbed.guest_python import SOURCE

from tests.vm.cxlfork.services import create_pool, start
from tests.vm.guest_python import run_json

SCRIPT = "tests/vm/oasis/in_guest/drive_of_the_other_host.py"


def test_a_file_system_on_the_drive_of_the_other_host(two_hosts: Pod) -> None:
    a, b = two_hosts["a"], two_hosts["b"]
    a.check(["modprobe", "-a", "ublk_drv", "ext4"])
    create_pool(a, 2)
    b.check(["modprobe", "nvme"])
    start(b, "lend", "python3", f"{SOURCE}/{SCRIPT}", "lend")
    try:
        done = run_json(a, SCRIPT, "use", timeout_s=300)
    finally:
        b.exec(["systemctl", "kill", "--signal=KILL", "lend"])
    assert done == {"files": 20, "same": True, "failed": 0}
    assert a.exec(["test", "-e", "/dev/ublkb0"]).status != 0
