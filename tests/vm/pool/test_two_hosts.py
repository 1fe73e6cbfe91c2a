"""A pool over the CXL memory that two guests share as /dev/dax0.0.

The guests run on one coherent machine: what is shown is that the pool works there and
that a host may vanish, not that it does without coherence (tests/unit/pool shows that).
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
from tiermem.testbed import Guest, Pod

from tests.vm.cxlfork.fork_hosts import (
    check_it_goes_on,
    forget_lines,
    start_daemons,
    stop_daemon,
    take_program,
)
from tests.vm.cxlfork.services import DEVICE, tiermem
from tests.vm.guest_python import ENVIRONMENT
from tests.vm.testbed.qemu_processes import qemus_of

NUMBER = {"a": 0, "b": 1}
HOLD = """
import sys, time
from pathlib import Path
from tiermem.layer.pool import open_pool
pool = open_pool(Path("/dev/dax0.0"), int(sys.argv[1]))
held = pool.open("held")
draft = pool.reserve(8 << 20)
Path("/run/holding").touch()
time.sleep(10000)
"""


def pool(guest: Guest, name: str, verb: str, *words: str) -> str:
    """`tiermem pool VERB` as that host; what it printed."""
    host = () if verb in ("create", "ls", "stat") else ("--host", str(NUMBER[name]))
    return guest.check(["tiermem", "pool", verb, DEVICE, *words, *host], timeout_s=300).stdout


def make_file(guest: Guest, path: str, size: int) -> str:
    """Random bytes; their checksum, as sha256sum prints it."""
    guest.check(["sh", "-c", f"head -c {size} /dev/urandom > {path}"])
    return guest.check(["sha256sum", path]).stdout.split()[0]


def hold(guest: Guest) -> None:
    """Have a process there hold an extent and fill another."""
    guest.check(["sh", "-c", f"cat > /run/hold.py <<'END'\n{HOLD}\nEND"])
    settings = [f"--setenv={key}={value}" for key, value in ENVIRONMENT.items()]
    guest.check(["systemd-run", "--quiet", *settings, "python3", "/run/hold.py", "0"])
    guest.check(["sh", "-c", "until test -e /run/holding; do sleep 0.2; done"])


def test_extents_go_from_host_to_host(two_hosts: Pod) -> None:
    a, b = two_hosts["a"], two_hosts["b"]
    pool(a, "a", "create", "--hosts", "2", "--entries", "32", "--force")
    sums = {
        "from a": make_file(a, "/run/a.bin", 5 << 20),
        "from b": make_file(b, "/run/b.bin", 12345),
    }
    pool(a, "a", "put", "from a", "/run/a.bin")
    pool(b, "b", "put", "from b", "/run/b.bin")
    for name, guest in two_hosts.items():
        for extent, wanted in sums.items():
            script = f"tiermem pool get {DEVICE} '{extent}' --host {NUMBER[name]} | sha256sum"
            assert guest.check(["sh", "-c", script], timeout_s=300).stdout.split()[0] == wanted
    put = ["tiermem", "pool", "put", DEVICE, "from b", "/run/a.bin", "--host", "0"]
    taken = a.exec(put, timeout_s=300)
    assert taken.status == 1
    assert "there is an extent 'from b' already" in taken.stderr
    listed = json.loads(pool(b, "b", "ls", "--json"))
    assert {(one["name"], one["host"]) for one in listed} == {("from a", 0), ("from b", 1)}
    assert all(one["offset"] % (2 << 20) == 0 for one in listed if one["bytes"] >= 2 << 20)
    pool(b, "b", "rm", "from a")
    pool(a, "a", "gc", "--lease", "0.1")
    assert [one["name"] for one in json.loads(pool(b, "b", "ls", "--all", "--json"))] == ["from b"]


@pytest.mark.ends_a_host
def test_what_a_host_that_vanished_held_comes_back_and_what_it_published_stays(
    two_hosts_newest: Pod,
) -> None:
    a, b = two_hosts_newest["a"], two_hosts_newest["b"]
    start_daemons(two_hosts_newest)
    wanted = make_file(a, "/run/a.bin", 3 << 20)
    pool(a, "a", "put", "stays", "/run/a.bin")
    pool(b, "b", "put", "held", "/etc/os-release")
    take_program(a)
    hold(a)
    pool(b, "b", "rm", "held")
    assert pool(b, "b", "gc", "--lease", "4").startswith("0 extents given back")

    for process in qemus_of(a.serial_log):
        os.kill(process, signal.SIGKILL)
    deadline_s = time.monotonic() + 120
    while _names(b, "--all") != {"stays", "fork/count"}:
        assert time.monotonic() < deadline_s
        pool(b, "b", "gc", "--lease", "2")
    script = f"tiermem pool get {DEVICE} stays --host 1 | sha256sum"
    assert b.check(["sh", "-c", script], timeout_s=300).stdout.split()[0] == wanted
    forget_lines(b)
    (clone,) = tiermem(b, "restore", "count", "--json")
    check_it_goes_on(b)
    tiermem(b, "end", str(clone["pid"]))
    stop_daemon(b)


def _names(guest: Guest, *options: str) -> set[str]:
    listed: list[dict[str, Any]] = json.loads(pool(guest, "b", "ls", *options, "--json"))
    return {one["name"] for one in listed}
