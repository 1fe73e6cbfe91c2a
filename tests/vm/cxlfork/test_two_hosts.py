"""A process of host a, restored on host b from the CXL memory that both share."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest, Pod

from tests.vm.cxlfork.services import DEVICE, start, start_porter, tiermem, wait_until
from tests.vm.guest_python import ENVIRONMENT, run_json
from tests.vm.kmod.guest_modules import load

NUMBERS = {"a": "0", "b": "1"}
COUNT = "/run/count.txt"
# numpy is loaded, and 24 MiB are its own; each number depends on all before it.
PROGRAM = """
import time
import numpy as np
numbers = np.random.default_rng(1).random(3 << 20)
n, total = 0, 0.0
while True:
    n += 1
    total += numbers[n * 4099 % len(numbers)]
    print(n, repr(total), flush=True)
    time.sleep(0.05)
"""
RESTORE_AND_END = """
import sys
from pathlib import Path
from tiermem.service.client import LocalClient
client = LocalClient(Path("/run/tiermem/fork.sock"), timeout_s=300)
for _ in range(int(sys.argv[1])):
    (clone,) = client.post("/v1/restore", {"name": "count", "policy": sys.argv[2]})
    client.post("/v1/end", {"pid": clone["pid"]})
"""


def expected(lines: int) -> list[str]:
    """What the program prints."""
    import numpy as np

    numbers = np.random.default_rng(1).random(3 << 20)
    total, said = 0.0, []
    for n in range(1, lines + 1):
        total += numbers[n * 4099 % len(numbers)]
        said.append(f"{n} {total!r}")
    return said


def lines_of(guest: Guest, at_least: int = 0) -> list[str]:
    """What was printed there, once it is so much."""
    script = f"until test $(wc -l < {COUNT}) -ge {at_least}; do sleep 0.2; done; cat {COUNT}"
    return guest.check(["sh", "-c", script], timeout_s=300).stdout.splitlines()


@pytest.fixture(scope="module")
def pod(two_hosts: Pod) -> Iterator[Pod]:
    """Both hosts with the module, a pool, and cxlforkd."""
    a = two_hosts["a"]
    a.check(
        ["tiermem", "pool", "create", DEVICE, "--hosts", "2", "--entries", "32", "--force"],
        timeout_s=120,
    )
    for name, guest in two_hosts.items():
        load(guest, "tiermem_image")
        options = [f"--set=pool={DEVICE}", f"--set=host={NUMBERS[name]}", "--set=lease_s=60"]
        start(guest, "fork", "tiermem", "fork", "run", *options)
    for guest in two_hosts.values():
        wait_until(guest, "tiermem fork status")
    yield two_hosts
    for guest in two_hosts.values():
        guest.check(["systemctl", "stop", "fork"], timeout_s=120)
        guest.check(["rmmod", "tiermem_image"])


@pytest.fixture(scope="module")
def taken(pod: Pod) -> tuple[int, list[str]]:
    """The program's image, "count", taken on a: its pid there, and what it had printed."""
    a, b = pod["a"], pod["b"]
    a.check(["sh", "-c", f"cat > /run/count.py <<'END'\n{PROGRAM}\nEND"])
    start(a, "count", "python3", "/run/count.py", output=COUNT)
    lines_of(a, at_least=3)
    pid = int(a.check(["systemctl", "show", "-P", "MainPID", "count"]).stdout)
    tiermem(a, "checkpoint", str(pid), "--name", "count")
    b.check(["sh", "-c", f": > {COUNT}"])
    return pid, lines_of(a)


def local_bytes(guest: Guest, pid: int) -> int:
    """Memory of a process's own: what it shares in CXL memory is a file's."""
    status = guest.check(["cat", f"/proc/{pid}/status"]).stdout
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) << 10


def test_it_goes_on_there_as_it_would_have_here(pod: Pod, taken: tuple[int, list[str]]) -> None:
    a, b = pod["a"], pod["b"]
    pid, before = taken
    (clone,) = tiermem(b, "restore", "count", "--json")
    there = lines_of(b, at_least=10)
    first = int(there[0].split()[0])
    assert 1 < first <= len(before) + 1
    wanted = expected(first + len(there))
    assert there == wanted[first - 1 : first - 1 + len(there)]
    # The parent is unharmed.
    here = lines_of(a, at_least=len(before) + 5)
    assert here == expected(len(here))
    # 24 MiB of numbers are read where they lie.
    assert local_bytes(b, clone["pid"]) < 8 << 20 < 24 << 20 < local_bytes(a, pid)
    tiermem(b, "end", str(clone["pid"]))


def test_policies_decide_whose_the_pages_are(pod: Pod, taken: tuple[int, list[str]]) -> None:
    b = pod["b"]
    found = {}
    for policy in ("mow", "ht", "moa"):
        b.check(["sh", "-c", f": > {COUNT}"])
        (clone,) = tiermem(b, "restore", "count", "--policy", policy, "--json")
        lines_of(b, at_least=5)
        found[policy] = local_bytes(b, clone["pid"])
        tiermem(b, "end", str(clone["pid"]))
    assert found["mow"] < found["moa"]
    assert found["mow"] < found["ht"]


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_hundred_in_a_row(pod: Pod, taken: tuple[int, list[str]], host: str) -> None:
    guest = pod[host]
    command = ["python3", "-c", RESTORE_AND_END, "100", "mow"]
    done = guest.exec(command, env=ENVIRONMENT, timeout_s=600)
    assert done.status == 0, guest.exec(["journalctl", "-u", "fork", "-n", "50"]).stdout
    assert tiermem(guest, "ps", "--json") == []
    log = guest.check(["dmesg"]).stdout
    assert not [line for line in log.splitlines() if "BUG" in line or "Bad " in line]


def test_what_a_has_removed_goes_on_at_b(pod: Pod, taken: tuple[int, list[str]]) -> None:
    a, b = pod["a"], pod["b"]
    b.check(["sh", "-c", f": > {COUNT}"])
    (clone,) = tiermem(b, "restore", "count", "--json")
    tiermem(a, "rm", "count")
    b.check(
        ["sh", "-c", "while tiermem fork ls | grep -q count; do sleep 0.5; done"], timeout_s=120
    )
    there = lines_of(b, at_least=10)
    first = int(there[0].split()[0])
    assert there == expected(first + len(there))[first - 1 : first - 1 + len(there)]
    refused = b.exec(["tiermem", "fork", "restore", "count"])
    assert (refused.status, "has no image 'count'" in refused.stderr) == (3, True)
    tiermem(b, "end", str(clone["pid"]))


def test_a_full_host_has_its_calls_answered_by_the_other_from_the_image_that_it_took(
    pod: Pod,
) -> None:
    """Host a has room for one instance only. Host b has never seen the function."""
    a, b = pod["a"], pod["b"]
    function = {"search": "graph_search"}
    start_porter(b, function, "listen=0.0.0.0:8470")
    start_porter(a, function, "memory_MiB=16", 'peers=["http://10.77.0.2:8470"]')
    try:
        script = "tests/vm/cxlfork/in_guest/porter_calls.py"
        answers = run_json(a, script, "16", "3", "search")["search"]
        there = json.loads(b.check(["tiermem", "porter", "ls", "--json"]).stdout)["search"]
        assert (there["calls"] > 0, set(there["starts"])) == (True, {"mow"})
        assert {"mow", "warm"} <= {one["how"] for one in answers[16:]} <= {"mow", "warm"}
        assert all(one["result"] == answers[0]["result"] for one in answers)
    finally:
        for guest in (a, b):
            guest.check(["systemctl", "stop", "porter"], timeout_s=120)
