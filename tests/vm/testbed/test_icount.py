"""Guest time under icount: it follows instructions, not the host."""

from __future__ import annotations

import time

from tiermem.testbed import Guest

from tests.vm.testbed.qemu_processes import cpu_s, qemus_of

LOOP = """
import time
def work():
    begin = time.perf_counter_ns()
    sum(range(200_000))
    return time.perf_counter_ns() - begin
work()
print(*(work() for _ in range(3)))
"""


def test_the_same_work_takes_the_same_time(icount_guest: Guest) -> None:
    times = [int(t) for t in icount_guest.check(["python3", "-c", LOOP]).stdout.split()]
    assert max(times) < 1.10 * min(times)


def test_an_idle_guest_costs_the_host_nothing(icount_guest: Guest) -> None:
    icount_guest.check(["true"])
    (pid,) = qemus_of(icount_guest.serial_log.parent)
    before = cpu_s(pid)
    time.sleep(3)
    assert cpu_s(pid) - before < 0.3
