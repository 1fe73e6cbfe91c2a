"""The workloads and the policies of the page-tiering benchmark, and their sizes.

Sizes are for a guest whose DRAM holds about half of each workload. A workload's
units of work are given for two modes: `full`, in which a policy adapts for some
five seconds of guest time and is measured for as long, and `quick`, which does
about half as much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bench.guest.spec import MEASURE, RunSpec, Units

Mode = Literal["full", "quick", "demo"]

OUT = "/opt/tiermem/out"
PROGRAMS = f"{OUT}/programs"
GRAPH_SCALE = 21
GRAPH_DEGREE = 20
SOCKET = "/run/bench.sock"

DRAM = "320M"
CXL = "1G"


@dataclass(frozen=True)
class Workload:
    """One workload: what it runs, how much of it, and what it stands for."""

    name: str
    title: str
    program: tuple[str, ...]
    full: Units
    quick: Units
    server: tuple[str, ...] = ()
    has_requests: bool = False

    def units(self, mode: Mode) -> Units:
        """Units of work of each phase."""
        return self.quick if mode == "quick" else self.full


@dataclass(frozen=True)
class PolicyChoice:
    """A policy as the tables name it; `nominator` and `tracker` are its M5 settings."""

    name: str
    title: str
    nominator: str = ""
    tracker: str = ""

    @property
    def is_m5(self) -> bool:
        """Whether the project's daemon does it (the oracle is one of these)."""
        return bool(self.nominator)


_REDIS = (
    *("redis-server", "--port", "0", "--unixsocket", SOCKET, "--save", ""),
    *("--appendonly", "no", "--enable-debug-command", "local", "--daemonize", "no"),
)
_MEMCACHED = ("memcached", "-u", "root", "-s", SOCKET, "-m", "2048", "-t", "1", "-a", "0600")


def _load(protocol: str, records: int, read_percent: int) -> tuple[str, ...]:
    return (
        f"{PROGRAMS}/loadgen",
        *(f"protocol={protocol}", f"socket={SOCKET}"),
        *(f"records={records}", f"read_percent={read_percent}", "keys=16"),
    )


WORKLOADS: dict[str, Workload] = {
    one.name: one
    for one in (
        Workload(
            "redis-b",
            "Redis, YCSB B (95% reads)",
            _load("redis", 330_000, 95),
            Units(84_000, 2_400, 72_000),
            Units(56_000, 1_600, 28_000),
            _REDIS,
            True,
        ),
        Workload(
            "redis-c",
            "Redis, YCSB C (reads only)",
            _load("redis", 330_000, 100),
            Units(84_000, 2_400, 72_000),
            Units(56_000, 1_600, 28_000),
            _REDIS,
            True,
        ),
        Workload(
            "memcached",
            "memcached, YCSB B (95% reads)",
            _load("memcached", 330_000, 95),
            Units(84_000, 2_400, 72_000),
            Units(56_000, 1_600, 28_000),
            _MEMCACHED,
            True,
        ),
        Workload(
            "liblinear",
            "liblinear, SVM training",
            (f"{PROGRAMS}/linear", "rows=360000", "features=2000000", "row_length=50"),
            Units(2, 1, 1),
            Units(2, 1, 1),
        ),
        Workload(
            "pagerank",
            "PageRank, Kronecker graph",
            (f"{PROGRAMS}/graphwork", "kernel=pagerank", f"graph={OUT}/graph.bin"),
            Units(8, 1, 6),
            Units(6, 1, 3),
        ),
        Workload(
            "bfs",
            "Breadth-first search, Kronecker graph",
            (f"{PROGRAMS}/graphwork", "kernel=bfs", f"graph={OUT}/graph.bin"),
            Units(10, 1, 8),
            Units(6, 1, 4),
        ),
        Workload(
            "hotset",
            "Hot set that moves half-way",
            (f"{PROGRAMS}/hotset", "megabytes=340"),
            Units(50_000_000, 500_000, 40_000_000),
            Units(30_000_000, 500_000, 16_000_000),
        ),
        Workload(
            "kvscan",
            "LLM decoding, KV scan",
            (f"{PROGRAMS}/kvscan", "megabytes=340", "sequences=128", "batch=4"),
            Units(2000, 30, 1600),
            Units(1400, 30, 800),
            has_requests=True,
        ),
    )
}

POLICIES: dict[str, PolicyChoice] = {
    one.name: one
    for one in (
        PolicyChoice("none", "no policy"),
        PolicyChoice("numab", "NUMA balancing + demotion"),
        PolicyChoice("damon", "DAMON (damo)"),
        PolicyChoice("m5-hpt", "M5, pages", "hpt", "device"),
        PolicyChoice("m5-hwt", "M5, words", "hwt", "device"),
        PolicyChoice("m5-hpt+hwt", "M5, pages and words", "hpt+hwt", "device"),
        PolicyChoice("oracle", "M5, exact counters", "hpt", "pac"),
    )
}

M5 = "m5-hpt+hwt"
"""The policy that the figures call M5: the daemon's default."""


def m5_config(policy: PolicyChoice, *, dry_run: bool) -> str:
    """The daemon's TOML: its defaults, but for where its files are and what it nominates by."""
    lines = [f"dry_run = {str(dry_run).lower()}"]
    lines += ['socket = "@FOLDER@/m5.sock"', 'state_file = "@FOLDER@/m5.json"']
    if dry_run:
        lines += ['record = "@FOLDER@/rounds.jsonl"']
    lines += [f'[tracker]\nkind = "{policy.tracker}"']
    if policy.nominator == "hwt":
        lines += ["[tracker.hwt]", "entries = 4096"]
    lines += [f'[nominator]\nmode = "{policy.nominator}"']
    return "\n".join(lines) + "\n"


def run_spec(
    workload: Workload, policy: PolicyChoice, seed: int, mode: Mode, purpose: str = MEASURE
) -> RunSpec:
    """Everything the guest needs to know for one run."""
    identify = purpose != MEASURE
    units = workload.units(mode)
    if identify:
        # Which pages are hot shows in less time than how long a program takes.
        units = replace(units, measure=max(1, units.measure // 2))
    config = m5_config(policy, dry_run=identify) if policy.is_m5 else ""
    files = (SOCKET,) if workload.server else ()
    return RunSpec(
        workload=workload.name,
        policy=policy.name,
        seed=seed,
        program=(*workload.program, f"seed={seed}"),
        units=units,
        server=workload.server,
        m5_config=config,
        purpose=purpose,
        server_files=files,
    )
