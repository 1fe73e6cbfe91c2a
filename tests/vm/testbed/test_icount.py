"""Guest time under icount: it follows instructions, not the host."""

from __future__ import annotations

import time

from tiermem.testbed import Guest

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


def test_an_idle_guest_stands_still(icount_guest: Guest) -> None:
    def uptime() -> float:
        return float(icount_guest.check(["cat", "/proc/uptime"]).stdout.split()[0])

    before = uptime()
    time.sleep(3)
    assert uptime() - before < 2.5
