"""Hosts of one pod that run cxlforkd, and a program that is taken on one of them."""

from __future__ import annotations

from tiermem.testbed import Guest, Pod

from tests.vm.cxlfork.services import (
    DEVICE,
    create_pool,
    start,
    start_fork_daemon,
    tiermem,
    wait_for_fork_daemon,
)
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


def expected(lines: int) -> list[str]:
    """What the program prints."""
    import numpy as np

    numbers = np.random.default_rng(1).random(3 << 20)
    total, said = 0.0, []
    for n in range(1, lines + 1):
        total += numbers[n * 4099 % len(numbers)]
        said.append(f"{n} {total!r}")
    return said


def start_daemons(pod: Pod) -> None:
    """The module and cxlforkd on each host, over a new pool."""
    create_pool(pod["a"], 2, "--entries", "32")
    for name, guest in pod.items():
        load(guest, "tiermem_image")
        start_fork_daemon(guest, f"pool={DEVICE}", f"host={NUMBERS[name]}")
    for guest in pod.values():
        wait_for_fork_daemon(guest)


def stop_daemon(guest: Guest) -> None:
    """Neither the daemon nor the module is left."""
    guest.check(["systemctl", "stop", "fork"], timeout_s=120)
    guest.check(["rmmod", "tiermem_image"])


def lines_of(guest: Guest, at_least: int = 0) -> list[str]:
    """What the program has printed there, once it is so much."""
    script = f"until test $(wc -l < {COUNT}) -ge {at_least}; do sleep 0.2; done; cat {COUNT}"
    return guest.check(["sh", "-c", script], timeout_s=300).stdout.splitlines()


def take_program(guest: Guest) -> int:
    """Start the program, take its image, "count", and let it go on; its pid there."""
    guest.check(["sh", "-c", f"cat > /run/count.py <<'END'\n{PROGRAM}\nEND"])
    forget_lines(guest)
    start(guest, "count", "python3", "/run/count.py", output=COUNT)
    lines_of(guest, at_least=3)
    pid = int(guest.check(["systemctl", "show", "-P", "MainPID", "count"]).stdout)
    tiermem(guest, "checkpoint", str(pid), "--name", "count")
    return pid


def forget_lines(guest: Guest) -> None:
    """Of what was printed there so far."""
    guest.check(["sh", "-c", f": > {COUNT}"])


def check_it_goes_on(guest: Guest, lines: int = 10) -> int:
    """Whether a restored one prints there what it would have anywhere; its first number."""
    there = lines_of(guest, at_least=lines)
    first = int(there[0].split()[0])
    assert there == expected(first + len(there))[first - 1 : first - 1 + len(there)]
    return first
