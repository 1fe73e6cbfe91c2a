"""What threads have told the kernel about themselves is as it was, looked at from outside."""

from __future__ import annotations

from dataclasses import replace

from tiermem.cxlfork.capture.areas import read_areas
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.process import read_process
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.threads import read_thread
from tiermem.cxlfork.capture.timers import read_timers
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.cxlfork.records import Process, Thread

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import Cloner
from tests.unit.cxlfork.targets import eventually


def look(pid: int) -> tuple[Process, list[Thread]]:
    """What a checkpoint would find."""
    with Memory(pid) as memory, StoppedProcess(pid) as stopped:
        areas = read_areas(pid, Refusals(pid))
        with Scratch(stopped, memory, areas) as scratch:
            with scratch.calls(pid) as calls:
                timers = read_timers(stopped, calls, scratch)
                process = read_process(stopped, calls, scratch, timers)
            tids = sorted(stopped.tids)
            return process, [read_thread(stopped, tid, scratch, timers) for tid in tids]


def test_a_thread_that_waits(start: Starter, cloner: Cloner) -> None:
    target = start("still")
    assert target.line() == "ready"
    eventually(lambda: target.state == "S", "it waits")
    clone = cloner.restore(cloner.take(target))
    assert look(clone.process.pid) == look(target.pid)


def test_threads_that_go_on(start: Starter, cloner: Cloner) -> None:
    target = start("threads")
    assert target.line() == "ready"
    clone = cloner.restore(cloner.take(target))
    (_, found), (_, wanted) = look(clone.process.pid), look(target.pid)
    assert all(thread.rseq and thread.robust_list for thread in wanted)
    assert [_without_registers(thread) for thread in found] == [
        _without_registers(thread) for thread in wanted
    ]


def _without_registers(thread: Thread) -> Thread:
    return replace(thread, registers=(), xstate=b"")
