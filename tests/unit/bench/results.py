"""A run's result, of which a test names what it is about."""

from __future__ import annotations

from dataclasses import replace

from bench.guest.spec import RunResult, RunSpec

_QUIET = RunResult(
    workload="hotset",
    policy="none",
    seed=1,
    purpose="measure",
    kernel_release="7.3",
    phases={},
    placement={},
    pages_up=0,
    pages_down=0,
    warm_pages_up=0,
    warm_pages_down=0,
    kernel_cpu_ns={},
    system_cpu_ns=0,
    daemon_cpu_ns=0,
    daemon_moving_ns=0,
    vmstat={},
)


def a_result(**named: object) -> RunResult:
    """Nothing moved and nothing took time, but for what is named."""
    return replace(_QUIET, **named)  # type: ignore[arg-type]


def result_of(spec: RunSpec, **named: object) -> RunResult:
    """The answer to a spec."""
    return a_result(
        workload=spec.workload, policy=spec.policy, seed=spec.seed, purpose=spec.purpose, **named
    )
