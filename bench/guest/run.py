"""One run inside the guest: `python3 -m bench.guest.run SPEC.json RESULT.json`.

Order: everything off and caches dropped; the workload sets itself up with the
kernel's default placement, the model idle; the policy starts; warm-up; the
model's cache settles; the measured phase. At the end the guest is as before.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.guest import kernel, kernel_cost
from bench.guest.m5 import M5Daemon
from bench.guest.policies import Damon, NumaBalancing, Policy
from bench.guest.processes import Program, RunError, spawn, stop, wait_for
from bench.guest.spec import IDENTIFY, RunResult, RunSpec

POLICIES: dict[str, type[Policy]] = {
    "none": Policy,
    "numab": NumaBalancing,
    "damon": Damon,
    "m5-hpt": M5Daemon,
    "m5-hwt": M5Daemon,
    "m5-hpt+hwt": M5Daemon,
    "oracle": M5Daemon,
}
SERVER_READY_S = 60.0
PAGE_BYTES = 4096


@contextmanager
def workload(spec: RunSpec, folder: Path) -> Iterator[tuple[Program, list[int]]]:
    """The program, set up and waiting, and the pids whose memory is the workload's."""
    server: subprocess.Popen[Any] | None = None
    program: Program | None = None
    try:
        if spec.server:
            log = folder / "server.log"
            server = spawn(spec.server, log, cwd=folder)
            for name in spec.server_files:
                wait_for(Path(name), server, log, SERVER_READY_S)
        program = Program(spec.program, folder / "program.log")
        program.wait_ready()
        yield program, [server.pid if server else program.pid]
    finally:
        if program is not None:
            program.close()
        if server is not None:
            stop(server)
        for name in spec.server_files:
            Path(name).unlink(missing_ok=True)


def cxl_range() -> tuple[int, int]:
    """Base and length in bytes of the memory behind the CXL window (/proc/iomem)."""
    for line in Path("/proc/iomem").read_text().splitlines():
        where, _, what = line.strip().partition(" : ")
        if what.startswith("CXL Window"):
            first, last = (int(end, 16) for end in where.split("-"))
            return first, last + 1 - first
    raise RunError("/proc/iomem has no CXL window: is the region online?")


def measure(spec: RunSpec, folder: Path) -> RunResult:
    """Do the run; RunError says what failed."""
    kernel.quiet()
    policy = POLICIES[spec.policy](spec, folder)
    with workload(spec, folder) as (program, pids):
        initial = kernel.pages_by_node(pids)
        free = kernel.free_pages()
        policy.start()
        daemon = policy.daemon_pid()
        if daemon and kernel_cost.is_running():
            kernel_cost.ask(f"apart {daemon}")
        try:
            result = _phases(spec, policy, program, pids)
        finally:
            policy.stop()
        if not policy.arms_model:
            program.command("disarm")
    base, length = cxl_range()
    result.placement["initial"] = initial
    result.placement["free"] = free
    result.notes["slow_first_frame"] = base // PAGE_BYTES
    result.notes["slow_pages"] = length // PAGE_BYTES
    return result


def _phases(spec: RunSpec, policy: Policy, program: Program, pids: list[int]) -> RunResult:
    phases: dict[str, dict[str, Any]] = {}
    first = policy.moves()
    if spec.purpose == IDENTIFY and not policy.arms_model:
        _arm(program, spec)
    if spec.units.warm:
        phases["warm"] = program.run("warm", spec.units.warm)
    if spec.purpose != IDENTIFY and not policy.arms_model:
        _arm(program, spec)
    if spec.units.settle:
        phases["settle"] = program.run("settle", spec.units.settle)
    placement = {"start": kernel.pages_by_node(pids)}
    warm = policy.moves()
    before = _Counters(policy)
    with policy.watch() if spec.purpose == IDENTIFY else _nothing() as hot:
        label = "identify" if spec.purpose == IDENTIFY else "measure"
        phases["measure"] = program.run(label, spec.units.measure)
    after = _Counters(policy)
    moved = policy.moves()
    placement["end"] = kernel.pages_by_node(pids)
    return RunResult(
        workload=spec.workload,
        policy=spec.policy,
        seed=spec.seed,
        purpose=spec.purpose,
        kernel_release=platform.release(),
        phases=phases,
        placement=placement,
        pages_up=moved.up - warm.up,
        pages_down=moved.down - warm.down,
        warm_pages_up=warm.up - first.up,
        warm_pages_down=warm.down - first.down,
        kernel_cpu_ns=kernel.difference(after.threads, before.threads),
        system_cpu_ns=after.system_ns - before.system_ns,
        daemon_cpu_ns=after.daemon_ns - before.daemon_ns,
        daemon_moving_ns=moved.daemon_ns - warm.daemon_ns,
        vmstat=kernel.difference(after.vmstat, before.vmstat),
        hot_pfns=sorted(hot),
        notes=policy.notes() | _tiering_cost(before, after),
    )


@contextmanager
def _nothing() -> Iterator[set[int]]:
    yield set()


def _arm(program: Program, spec: RunSpec) -> None:
    base, length = cxl_range()
    program.command(f"arm {base} {length}")


def _tiering_cost(before: _Counters, after: _Counters) -> dict[str, Any]:
    """The probe's account of the phase, where it is attached."""
    if before.probe is None or after.probe is None:
        return {}
    cells = kernel.difference(_cells(after.probe), _cells(before.probe))
    total = after.probe["total_ns"] - before.probe["total_ns"]
    return {"tiering_cpu_ns": total, "tiering_cpu": cells}


def _cells(probe: dict[str, Any]) -> dict[str, int]:
    return {f"{cell['who']}: {cell['activity']}": cell["ns"] for cell in probe["cells"]}


class _Counters:
    """The kernel's counters at one moment."""

    def __init__(self, policy: Policy) -> None:
        daemon = policy.daemon_pid()
        self.probe = kernel_cost.ask("read") if kernel_cost.is_running() else None
        self.vmstat = kernel.vmstat()
        self.threads = kernel.thread_cpu_ns()
        self.system_ns = kernel.system_cpu_ns()
        self.daemon_ns = kernel.process_cpu_ns(daemon) if daemon else 0


def main() -> None:
    """Read the spec, run, write the result; one line on stderr and status 1 on failure."""
    spec = RunSpec.from_json(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/run") as folder:
        try:
            result = measure(spec, Path(folder))
        except RunError as error:
            sys.exit(f"{spec.workload}/{spec.policy}: {error}")
    Path(sys.argv[2]).write_text(result.to_json())


if __name__ == "__main__":
    main()
