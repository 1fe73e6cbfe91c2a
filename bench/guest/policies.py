"""Tiering policies as the guest runs them: switch on, count, switch off.

`none` leaves everything off. The kernel's own tiering and DAMON run inside the
kernel; M5 is the project's daemon, the oracle the same daemon with the exact
page counters as its tracker.
"""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.guest import kernel, trace
from bench.guest.processes import RunError
from bench.guest.spec import IDENTIFY, RunSpec

KDAMONDS = Path("/sys/kernel/mm/damon/admin/kdamonds")
COMMAND_S = 120.0
FAST_NODE = 0
PAGE_BYTES = 4096

# The monitoring and promotion half of the set-up that damo's authors document
# for two nodes, then the demotion half; identification uses the first alone.
_MONITOR = ("--monitoring_intervals_goal", "4%", "3", "5ms", "10s")
_QUOTA = ("--damos_quota_interval", "1s", "--damos_quota_space", "200MB")
_HOT = ("--damos_access_rate", "5%", "max", "--damos_apply_interval", "1s", *_QUOTA)
_COLD = ("--damos_access_rate", "0%", "0%", "--damos_apply_interval", "1s", *_QUOTA)
_COUNTS = ("--nr_targets", "1", "1", "--nr_schemes", "1", "1", "--nr_ctxs", "1", "1")


@dataclass(frozen=True)
class Moves:
    """Pages moved to the fast and to the slow tier so far.

    daemon_ns: CPU time that moving them took a policy's own process.
    """

    up: int = 0
    down: int = 0
    daemon_ns: int = 0


def command(*words: str) -> str:
    """Run a command to its end; its output. RunError with what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S)
    if done.returncode:
        said = " | ".join((done.stderr + done.stdout).strip().splitlines()[-4:])
        raise RunError(f"{' '.join(words[:2])}: status {done.returncode}: {said}")
    return done.stdout


class Policy:
    """The policy `none`, and the base of the others."""

    arms_model = False

    def __init__(self, spec: RunSpec, folder: Path) -> None:
        self.spec = spec
        self.folder = folder

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """Stop, and leave the kernel as it was found."""

    def daemon_pid(self) -> int | None:
        """The process whose CPU time is this policy's, if it has one."""
        return None

    def moves(self) -> Moves:
        """Pages moved since boot, as the kernel counts them."""
        seen = kernel.vmstat()
        down = sum(seen.get(f"pgdemote_{who}", 0) for who in DEMOTERS)
        return Moves(seen.get("pgpromote_success", 0), down)

    def watch(self) -> AbstractContextManager[set[int]]:
        """Collects, by the end of the block, the frames that the policy calls hot."""
        return nullcontext(set())

    def notes(self) -> dict[str, Any]:
        """What else is worth keeping about the run."""
        return {}


DEMOTERS = ("kswapd", "direct", "khugepaged", "proactive")


class NumaBalancing(Policy):
    """Hint faults promote, reclaim demotes: the kernel's tiering with its defaults."""

    def start(self) -> None:
        """See Policy.start. Without demotion nothing moves: the fast node is full."""
        if self.spec.purpose != IDENTIFY:
            kernel.write(kernel.DEMOTION, "1")
        kernel.write(kernel.NUMA_BALANCING, "2")

    def stop(self) -> None:
        """See Policy.stop."""
        kernel.write(kernel.NUMA_BALANCING, "0")
        kernel.write(kernel.DEMOTION, "0")

    def watch(self) -> AbstractContextManager[set[int]]:
        """See Policy.watch."""
        return trace.numa_promotions()


def damo_arguments(identify: bool, kept_free_percent: float = 0.0) -> tuple[str, ...]:
    """Arguments of `damo start`; identification watches the slow node and moves nothing.

    kept_free_percent: what the kernel keeps free of the fast node by itself. It is
    next to nothing on a machine of full size, and the goals, which are shares of a
    node, are meant beyond it.
    """
    if identify:
        return ("--numa_node", "1", *_MONITOR, "--damos_action", "stat", *_HOT)
    cold = (
        *("--damos_action", "migrate_cold", "1", *_COLD),
        *("--damos_quota_goal", "node_mem_free_bp", f"{0.5 + kept_free_percent:.2f}%", "0"),
        *("--damos_filter", "reject", "young"),
    )
    hot = (
        *("--damos_action", "migrate_hot", "0", *_HOT),
        *("--damos_quota_goal", "node_mem_used_bp", f"{99.7 - kept_free_percent:.2f}%", "0"),
        *("--damos_filter", "allow", "young"),
    )
    per_scheme = ("--damos_nr_quota_goals", "1", "1", "--damos_nr_filters", "1", "1")
    down = ("--numa_node", "0", *_MONITOR, *cold)
    return (*down, "--numa_node", "1", *_MONITOR, *hot, *per_scheme, *_COUNTS)


class Damon(Policy):
    """DAMON's self-tuned tiering, set up by the `damo` command."""

    def start(self) -> None:
        """See Policy.start."""
        identify = self.spec.purpose == IDENTIFY
        command("damo", "start", *damo_arguments(identify, kernel.kept_free_percent(FAST_NODE)))

    def stop(self) -> None:
        """See Policy.stop."""
        command("damo", "stop")

    def moves(self) -> Moves:
        """See Policy.moves; the schemes' own account of what they applied."""
        applied = {"migrate_hot": 0, "migrate_cold": 0}
        for kdamond in KDAMONDS.glob("[0-9]*"):
            if (kdamond / "state").read_text().strip() != "on":
                continue
            kernel.write(kdamond / "state", "update_schemes_stats")
            for scheme in kdamond.glob("contexts/*/schemes/[0-9]*"):
                action = (scheme / "action").read_text().strip()
                if action in applied:
                    applied[action] += int((scheme / "stats/sz_applied").read_text())
        up, down = applied["migrate_hot"], applied["migrate_cold"]
        return Moves(up // PAGE_BYTES, down // PAGE_BYTES)

    def watch(self) -> AbstractContextManager[set[int]]:
        """See Policy.watch."""
        return trace.damon_hot_regions()
