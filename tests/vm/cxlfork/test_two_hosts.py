"""A process of host a, restored on host b from the CXL memory that both share."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest, Pod

from tests.vm.cxlfork.fork_hosts import (
    check_it_goes_on,
    expected,
    forget_lines,
    lines_of,
    start_daemons,
    stop_daemon,
    take_program,
)
from tests.vm.cxlfork.services import PATIENCE_S, start_porter, tiermem, wait_until
from tests.vm.guest_python import ENVIRONMENT, run_json

JOURNAL = ("journalctl", "-o", "cat", "-n", "40", "-u", "porter", "-u", "fork")
RESTORE_AND_END = """
import sys
from pathlib import Path
from tiermem.service.client import LocalClient
client = LocalClient(Path("/run/tiermem/fork.sock"), timeout_s=300)
for _ in range(int(sys.argv[1])):
    (clone,) = client.post("/v1/restore", {"name": "count", "policy": sys.argv[2]})
    client.post("/v1/end", {"pid": clone["pid"]})
"""


@pytest.fixture(scope="module", params=["two_hosts_newest", "two_hosts"], ids=["newest", "lts"])
def pod(request: pytest.FixtureRequest) -> Iterator[Pod]:
    """Both hosts with the module, a pool, and cxlforkd."""
    hosts: Pod = request.getfixturevalue(request.param)
    start_daemons(hosts)
    yield hosts
    for guest in hosts.values():
        stop_daemon(guest)


@pytest.fixture(scope="module")
def taken(pod: Pod) -> Iterator[tuple[int, list[str]]]:
    """The program's image, "count", taken on a: its pid there, and what it had printed."""
    pid = take_program(pod["a"])
    forget_lines(pod["b"])
    yield pid, lines_of(pod["a"])
    pod["a"].check(["systemctl", "stop", "count"])


newest = pytest.mark.parametrize("pod", ["two_hosts_newest"], indirect=True, ids=["newest"])
"""What is of the hosts more than of their kernels is seen on one of these."""


def local_bytes(guest: Guest, pid: int) -> int:
    """Memory of a process's own: what it shares in CXL memory is a file's."""
    status = guest.check(["cat", f"/proc/{pid}/status"]).stdout
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) << 10


def test_it_goes_on_there_as_it_would_have_here(pod: Pod, taken: tuple[int, list[str]]) -> None:
    a, b = pod["a"], pod["b"]
    pid, before = taken
    (clone,) = tiermem(b, "restore", "count", "--json")
    assert 1 < check_it_goes_on(b) <= len(before) + 1
    # The parent is unharmed.
    here = lines_of(a, at_least=len(before) + 5)
    assert here == expected(len(here))
    # 24 MiB of numbers are read where they lie.
    assert local_bytes(b, clone["pid"]) < 8 << 20 < 24 << 20 < local_bytes(a, pid)
    tiermem(b, "end", str(clone["pid"]))


@newest
def test_policies_decide_whose_the_pages_are(pod: Pod, taken: tuple[int, list[str]]) -> None:
    b = pod["b"]
    found = {}
    for policy in ("mow", "ht", "moa"):
        forget_lines(b)
        (clone,) = tiermem(b, "restore", "count", "--policy", policy, "--json")
        lines_of(b, at_least=5)
        found[policy] = local_bytes(b, clone["pid"])
        tiermem(b, "end", str(clone["pid"]))
    assert found["mow"] < found["moa"]
    assert found["mow"] < found["ht"]


@newest
@pytest.mark.parametrize("host", ["a", "b"])
def test_a_hundred_in_a_row(pod: Pod, taken: tuple[int, list[str]], host: str) -> None:
    guest = pod[host]
    command = ["python3", "-c", RESTORE_AND_END, "100", "mow"]
    done = guest.exec(command, env=ENVIRONMENT, timeout_s=600)
    assert done.status == 0, guest.exec(["journalctl", "-u", "fork", "-n", "50"]).stdout
    assert tiermem(guest, "ps", "--json") == []
    log = guest.check(["dmesg"]).stdout
    assert not [line for line in log.splitlines() if "BUG" in line or "Bad " in line]


@newest
def test_what_a_has_removed_goes_on_at_b(pod: Pod, taken: tuple[int, list[str]]) -> None:
    a, b = pod["a"], pod["b"]
    forget_lines(b)
    (clone,) = tiermem(b, "restore", "count", "--json")
    tiermem(a, "rm", "count")
    b.check(
        ["sh", "-c", "while tiermem fork ls | grep -q count; do sleep 0.5; done"], timeout_s=120
    )
    check_it_goes_on(b)
    refused = b.exec(["tiermem", "fork", "restore", "count"], timeout_s=PATIENCE_S)
    assert (refused.status, "has no image 'count'" in refused.stderr) == (3, True)
    tiermem(b, "end", str(clone["pid"]))


def test_a_full_host_has_its_calls_answered_by_the_other_from_the_image_that_it_took(
    pod: Pod,
) -> None:
    """Host a may have one instance only. Host b has never seen the function."""
    a, b = pod["a"], pod["b"]
    function = {"search": "graph_search"}
    start_porter(b, function, "listen=0.0.0.0:8470")
    start_porter(a, function, 'peers=["http://10.77.0.2:8470"]', instances_max=1)
    try:
        script = "tests/vm/cxlfork/in_guest/porter_calls.py"
        answers = run_json(a, script, "15", "1", "search")["search"]
        # b looks for new images once a second.
        wait_until(b, "tiermem fork ls --json | grep porter/search")
        answers += run_json(a, script, "1", "3", "search")["search"]
        # What a failure is about.
        print(answers[16:], *(guest.check(JOURNAL).stdout for guest in (a, b)))
        listed = b.check(["tiermem", "porter", "ls", "--json"], timeout_s=PATIENCE_S)
        there = json.loads(listed.stdout)["search"]
        assert (there["calls"] > 0, set(there["starts"])) == (True, {"mow"})
        assert {"mow", "warm"} <= {one["how"] for one in answers[16:]} <= {"mow", "warm"}
        assert all(one["result"] == answers[0]["result"] for one in answers)
    finally:
        for guest in (a, b):
            guest.check(["systemctl", "stop", "porter"], timeout_s=120)
