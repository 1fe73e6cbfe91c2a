"""What one run is: plain data that goes from host to guest as JSON, and the answer back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

IDENTIFY = "identify"
MEASURE = "measure"


@dataclass(frozen=True)
class Units:
    """Work of each phase, in the workload's own units (requests, iterations, steps).

    warm: the policy works, nothing is counted. settle: the model's cache fills,
    for policies that run without the model until then. measure: what counts.
    """

    warm: int
    settle: int
    measure: int


@dataclass(frozen=True)
class RunSpec:
    """One workload under one policy with one seed.

    server: command line of the server that the program loads, or empty.
    program: the driven program's command line (bench/workloads).
    m5_config: the daemon's TOML, for policies that are a daemon's.
    purpose: "measure", or "identify": pages stay where they are, and what the
    policy would call hot is recorded.
    """

    workload: str
    policy: str
    seed: int
    program: tuple[str, ...]
    units: Units
    server: tuple[str, ...] = ()
    m5_config: str = ""
    purpose: str = MEASURE
    server_files: tuple[str, ...] = ()

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> RunSpec:
        """The spec that `to_json` wrote."""
        tree: dict[str, Any] = json.loads(text)
        tree["units"] = Units(**tree["units"])
        for key in ("program", "server", "server_files"):
            tree[key] = tuple(tree[key])
        return RunSpec(**tree)


@dataclass(frozen=True)
class RunResult:
    """What the guest found in one run; times in ns, memory in pages.

    phases: the program's answers by label (bench/workloads/phase.c).
    placement: pages of the workload by node, at "start" and "end" of measuring.
    kernel_cpu_ns: kernel threads' CPU time while measuring, by thread name.
    daemon_cpu_ns: the policy's process'; daemon_moving_ns: the part of it in which
    the kernel moved pages on its demand.
    vmstat: differences of /proc/vmstat's counters while measuring.
    """

    workload: str
    policy: str
    seed: int
    purpose: str
    kernel_release: str
    phases: dict[str, dict[str, Any]]
    placement: dict[str, dict[str, int]]
    pages_up: int
    pages_down: int
    warm_pages_up: int
    warm_pages_down: int
    kernel_cpu_ns: dict[str, int]
    system_cpu_ns: int
    daemon_cpu_ns: int
    daemon_moving_ns: int
    vmstat: dict[str, int]
    hot_pfns: list[int] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> RunResult:
        """The result that `to_json` wrote."""
        return RunResult(**json.loads(text))
