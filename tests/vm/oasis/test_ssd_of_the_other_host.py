"""oasisd on two hosts, of which a has no drive: a slice of b's is a block device that outlives
the daemons of both, and is nobody else's before it is zeros."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest, Pod

from tests.vm.cxlfork.services import DEVICE, create_pool
from tests.vm.guest_python import ENVIRONMENT, run_json

SCRIPT = "tests/vm/oasis/in_guest/ssd_of_the_other_host.py"
UNIT = "/run/systemd/system/oasis-ssd.service"
# An emulated guest on a busy host stands still for seconds.
BEGIN = f"""
mkdir -p /etc/tiermem
cat > /etc/tiermem/oasis.toml <<END
host = HOST
hosts = 2
pool = "{DEVICE}"
lease_s = 10.0
ssd_link = {{ tags = 64, buffer_bytes = 65536 }}
END
cat > {UNIT} <<END
[Service]
ExecStart=/usr/local/bin/tiermem oasis run
Environment={" ".join(f"{key}={value}" for key, value in ENVIRONMENT.items())}
RESTART
END
systemctl daemon-reload
"""
LEND = """
modprobe nvme
tiermem oasis format-ssd --force /dev/nvme0n1
cat >> /etc/tiermem/oasis.toml <<END
[[ssd]]
path = "/dev/nvme0n1"
iops = 100000
END
"""
REMOVE = f"""
systemctl stop commits
umount /mnt/ssd
systemctl stop oasis-ssd
rm -rf {UNIT} /etc/tiermem/oasis.toml /var/lib/tiermem/oasis.json /run/commits*
systemctl daemon-reload
"""


def begin(guest: Guest, host: int, *, restart: str = "no", more: str = "") -> None:
    unit = BEGIN.replace("HOST", str(host)).replace("RESTART", f"Restart={restart}")
    script = f"{unit}{more}systemctl start oasis-ssd"
    guest.check(["bash", "-ec", script], timeout_s=300)


@pytest.fixture
def oasis(two_hosts: Pod) -> Iterator[Pod]:
    """With oasisd on both, and b's drive in the pod."""
    a, b = two_hosts["a"], two_hosts["b"]
    a.check(["modprobe", "-a", "ublk_drv", "ext4"])
    create_pool(a, 2)
    begin(b, 1, more=LEND)
    begin(a, 0, restart="on-failure")
    try:
        yield two_hosts
    finally:
        for guest in (a, b):
            print(guest.exec(["journalctl", "-o", "cat", "-n", "40", "-u", "oasis-ssd"]).stdout)
            guest.exec(["bash", "-c", REMOVE], timeout_s=120)


def test_an_ssd_of_the_other_host_outlives_the_daemons_of_both(oasis: Pod) -> None:
    a, b = oasis["a"], oasis["b"]
    assert run_json(a, SCRIPT, "attach") == {"by": "1/100", "commits": True}
    b.check(["systemctl", "kill", "--signal=KILL", "oasis-ssd"])
    assert run_json(a, SCRIPT, "fails") == {"errno": "EIO", "late": False}
    b.check(["systemctl", "start", "oasis-ssd"])
    assert run_json(a, SCRIPT, "end") == {
        "the other's daemon": True,
        "this daemon": True,
        "same device": True,
        "file": True,
        "all commits": True,
        "zeros": True,
        "left": [],
    }
    slices = b.check(["tiermem", "oasis", "slices"], timeout_s=120).stdout
    assert slices.strip() == "no slices"
    assert a.exec(["sh", "-c", "ls /dev/ublkb*"]).status != 0
