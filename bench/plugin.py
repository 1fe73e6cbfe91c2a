"""What the hardware model costs: emulation with the plugin, idle and armed, over without it.

Two guests run side by side under icount, one without and one with the plugin,
and take turns: while one does a workload the other is stopped. So both see the
same machine at nearly the same moment. Measured is the processor time of the
QEMU process, which other programs of the host disturb less than the clock on
the wall. A workload's ratio is that of the best round of each (what disturbs
only adds), and the figure is the geometric mean over the workloads.

    python -m bench.plugin        QUICK=1: fewer rounds

Prints a table and writes bench/out/plugin.json. A figure over its limit is marked in
both; that it could be measured is what the exit status says.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tiermem.errors import TiermemError
from tiermem.native._uapi import lib
from tiermem.testbed import Guest, Pod, Topology, boot, load_topology

from bench.benchmark_parts import is_quick
from bench.host_bar import HostBar

OUT = Path(__file__).parent / "out" / "plugin.json"
LIMITS = {"plugin_idle_ratio": 1.05, "plugin_armed_ratio": 2.5}
BOOT_TIMEOUT_S = 900.0
TIMEOUT_S = 600.0

_COMPILE = r"""
cat > /tmp/unit.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct pair { char name[32]; long value; };
static int by_value(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}
int main(void)
{
    struct pair pairs[100];
    for (int i = 0; i < 100; i++) {
        snprintf(pairs[i].name, sizeof(pairs[i].name), "pair %d", i);
        pairs[i].value = (long)strlen(pairs[i].name) * 7919 % 101;
    }
    qsort(pairs, 100, sizeof(pairs[0]), by_value);
    return pairs[0].value < 0;
}
END
for level in 0 1 2; do gcc -O$level -o /tmp/unit /tmp/unit.c && /tmp/unit; done
"""
_NUMPY = """
import numpy as np
rng = np.random.default_rng(1)
values = rng.random(1_000_000)
np.sort(values).cumsum()
values[rng.permutation(values.size)].sum()
square = rng.random((200, 200))
for _ in range(4):
    square = square @ square / 100
"""
_REDIS = """
redis-server --save '' --daemonize yes --port 7111 >/dev/null
until redis-cli -p 7111 ping >/dev/null 2>&1; do sleep 0.05; done
redis-benchmark -p 7111 -n 4000 -r 100000 -d 512 -t set,get -q >/dev/null
redis-cli -p 7111 shutdown nosave
"""
WORKLOADS: dict[str, list[str]] = {
    "compile": ["sh", "-ec", _COMPILE],
    "numpy": ["python3", "-c", _NUMPY],
    "redis": ["sh", "-ec", _REDIS],
}


@dataclass(frozen=True)
class Run:
    """Processor seconds of one workload on one guest.

    mode: plain, or as `phase`. phase: idle or armed, what the other guest was meanwhile.
    """

    phase: str
    mode: str
    workload: str
    round: int
    cpu_s: float


class Emulator:
    """A guest and the QEMU process that emulates it."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.pid = _qemu_of(guest)

    def cpu_s(self) -> float:
        """Processor time of the process so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The guest stands still within the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def measure(self, phase: str, mode: str, workload: str, number: int) -> Run:
        """Do one workload."""
        before = self.cpu_s()
        self.guest.check(WORKLOADS[workload], timeout_s=TIMEOUT_S)
        return Run(phase, mode, workload, number, round(self.cpu_s() - before, 3))


def _qemu_of(guest: Guest) -> int:
    wanted = str(guest.bar_path).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if wanted in words:
                return int(entry.name)
    raise TiermemError(f"no QEMU process has {guest.bar_path} on its command line")


@contextmanager
def running(guest: Guest) -> Iterator[None]:
    """The guest executes within the block; without a command in it, it stands still."""
    done = guest.out_dir / "plugin-bench.done"
    done.unlink(missing_ok=True)
    spin = ["sh", "-c", f"until [ -e /opt/tiermem/out/{done.name} ]; do :; done"]
    spinner = threading.Thread(target=guest.check, args=[spin], kwargs={"timeout_s": TIMEOUT_S})
    spinner.start()
    try:
        yield
    finally:
        done.touch()
        spinner.join()
        done.unlink()


def take_turns(plain: Emulator, modelled: Emulator, phase: str, rounds: int) -> list[Run]:
    """Rounds of every workload on both guests, one after the other.

    One more round before them warms page caches and translated code, and is left out.
    """
    runs = []
    for number in range(-1, rounds):
        for workload in WORKLOADS:
            with modelled.stopped():
                runs.append(plain.measure(phase, "plain", workload, number))
            with plain.stopped():
                runs.append(modelled.measure(phase, phase, workload, number))
            print(
                f"{phase} {workload}: {runs[-1].cpu_s} s, plain {runs[-2].cpu_s} s", file=sys.stderr
            )
    return [run for run in runs if run.round >= 0]


def ratio(runs: list[Run], phase: str) -> tuple[float, dict[str, float]]:
    """Slow-down over plain in a phase: geometric mean, and by workload."""
    by_workload = {}
    for workload in WORKLOADS:
        mine = [run for run in runs if (run.phase, run.workload) == (phase, workload)]
        best = {
            mode: min(run.cpu_s for run in mine if run.mode == mode) for mode in (phase, "plain")
        }
        by_workload[workload] = round(best[phase] / best["plain"], 3)
    logs = [math.log(value) for value in by_workload.values()]
    return round(math.exp(sum(logs) / len(logs)), 3), by_workload


def _boot(topology: Topology, *, plugin: bool) -> AbstractContextManager[Pod]:
    return boot(topology, time="icount", plugin=plugin, boot_timeout_s=BOOT_TIMEOUT_S)


def over_limit(figures: Mapping[str, float]) -> list[str]:
    """Names of the figures that are above what LIMITS allows."""
    return [name for name, limit in LIMITS.items() if figures[name] > limit]


def to_table(result: Mapping[str, Any]) -> Table:
    """Slow-downs over plain emulation, by workload and altogether, beside their limits."""
    table = Table(title="Emulation with the hardware model, over emulation without it")
    for column in ("", *WORKLOADS, "all", "limit", "verdict"):
        table.add_column(column, justify="right" if column else "left")
    for phase in ("idle", "armed"):
        name = f"plugin_{phase}_ratio"
        table.add_row(
            phase,
            *(f"{result['by_workload'][phase][workload]:.3f}" for workload in WORKLOADS),
            f"{result['figures'][name]:.3f}",
            f"{LIMITS[name]:.2f}",
            "over its limit" if name in result["over_limit"] else "within",
        )
    return table


def measure(rounds: int) -> dict[str, Any]:
    """Boot both guests, measure, and describe: figures, by workload, all runs."""
    topology = load_topology("one-host", cpus=1)
    with ExitStack() as stack:
        without = stack.enter_context(_boot(topology, plugin=False))
        plain = Emulator(without["a"])
        with plain.stopped():
            pod = stack.enter_context(_boot(topology, plugin=True))
        modelled = Emulator(pod["a"])
        bar = stack.enter_context(HostBar(modelled.guest.bar_path))
        idle_runs = take_turns(plain, modelled, "idle", rounds)
        with plain.stopped(), running(modelled.guest):
            bar.command(lib.TIERMEM_CMD_ARM)
        armed_runs = take_turns(plain, modelled, "armed", rounds)
    runs = idle_runs + armed_runs
    idle, idle_by_workload = ratio(runs, "idle")
    armed, armed_by_workload = ratio(runs, "armed")
    figures = {"plugin_idle_ratio": idle, "plugin_armed_ratio": armed}
    return {
        "figures": figures,
        "limits": LIMITS,
        "over_limit": over_limit(figures),
        "by_workload": {"idle": idle_by_workload, "armed": armed_by_workload},
        "measure": "processor seconds of QEMU, icount, 1 vCPU",
        "runs": [asdict(run) for run in runs],
    }


def main() -> int:
    """0 when measured, whatever the figures; 1 with one line when it could not be."""
    try:
        result = measure(rounds=2 if is_quick() else 6)
    except TiermemError as error:
        print(f"bench.plugin: {error}", file=sys.stderr)
        return error.exit_code
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    Console().print(to_table(result))
    for name in result["over_limit"]:
        figure = result["figures"][name]
        print(f"bench.plugin: {name} {figure} is over its limit of {LIMITS[name]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
