"""Instances whose NIC and SSD are lent by the very unit that serves them: what was seen.

Prints JSON. The NIC is one end of a veth, with the outside's address at the other end. Then
the pod is said to be in an etcd that is not there, to see how far the unit gets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from asked_daemon import CLIENT, run, until

UNIT = "tiermem-oasis"
CONFIG = Path("/etc/tiermem/oasis.toml")
ETCD = 'state = "etcd"\netcd = ["http://127.0.0.1:2379"]\netcd_timeout_s = 2\n'
LETS_IT_SPEAK = Path(__file__).parents[4] / "userspace/systemd/tiermem-oasis-etcd.conf"
DISK, PATTERN = Path("/dev/tiermem/disk"), b"tiermem!" * 512
OUTSIDE, WEB = "10.7.2.1", "10.7.2.2"


def is_ready() -> bool:
    return bool(CLIENT.get("/v1/instance", {"name": "web/eth0"})["is_ready"])


def ping() -> bool:
    command = ["ip", "netns", "exec", "web", "ping", "-c", "3", "-w", "30", OUTSIDE]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    return all(f"icmp_seq={number} " in said for number in range(1, 4))


def has_disk() -> bool:
    return bool(CLIENT.get("/v1/instance", {"name": DISK.name})["is_ready"])


def pid() -> str:
    return run(f"systemctl show -P MainPID {UNIT}").strip()


def interfaces() -> list[str]:
    return [one["ifname"] for one in json.loads(run("ip -j -n web link"))]


def etcd_trouble() -> str:
    """What keeps the unit from etcd, at a port where nobody listens."""
    run(f"systemctl start {UNIT}")
    trouble = str(CLIENT.get("/v1/status")["state_trouble"])
    run(f"systemctl stop {UNIT}")
    return trouble


def try_etcd(seen: dict[str, Any]) -> None:
    CONFIG.write_text(ETCD + CONFIG.read_text())
    seen["etcd from the unit"] = etcd_trouble()
    shutil.copy(LETS_IT_SPEAK, f"/run/systemd/system/{UNIT}.service.d/etcd.conf")
    run("systemctl daemon-reload")
    seen["etcd with what lets it"] = etcd_trouble()


def main() -> None:
    for line in (
        "ip netns add web",
        "ip netns add outside",
        "ip link add nic0 type veth peer name far0 netns outside",
        "ip link set nic0 up",
        "ip -n outside link set far0 up",
        f"ip -n outside addr add {OUTSIDE}/24 dev far0",
        f"systemctl start {UNIT}",
    ):
        run(line)
    seen: dict[str, Any] = {}
    CLIENT.post("/v1/attach", {"namespace": "web"})
    seen["served"] = until(is_ready, "the NIC is served")
    run(f"ip -n web addr add {WEB}/24 dev eth0")
    seen["ping"] = ping()
    CLIENT.post("/v1/attach", {"kind": "ssd", "size": "8M", "name": DISK.name})
    seen["disk"] = until(has_disk, "the disk is served")
    with DISK.open("r+b") as disk:
        disk.write(PATTERN)
        disk.flush()
        os.fsync(disk.fileno())
    first = pid()
    run(f"systemctl kill -s KILL {UNIT}")
    seen["restarted"] = until(lambda: pid() not in ("0", first), "restart")
    seen["served again"] = until(is_ready, "the NIC is served again")
    seen["ping again"] = ping()
    seen["interfaces"] = interfaces()
    seen["disk again"] = until(has_disk, "the disk is served again")
    run(f"blockdev --flushbufs {DISK}")
    seen["data"] = DISK.read_bytes()[: len(PATTERN)] == PATTERN
    CLIENT.post("/v1/detach", {"instance": DISK.name})
    run(f"systemctl stop {UNIT}")
    seen["interfaces after"] = interfaces()
    seen["result"] = run(f"systemctl show -P Result {UNIT}").strip()
    seen["socket"] = CLIENT.path.exists()
    try_etcd(seen)
    seen["log"] = run(f"journalctl -o cat -n 40 -u {UNIT}")
    print(json.dumps(seen))


main()
