"""The probes there are, by name."""

from __future__ import annotations

from typing import Any

from tiermem.probes import fault_latency, hint_faults, kernel_cpu, migration
from tiermem.probes.question import Question

QUESTIONS: dict[str, Question[Any]] = {
    question.name: question
    for question in (
        migration.QUESTION,
        hint_faults.QUESTION,
        kernel_cpu.QUESTION,
        fault_latency.QUESTION,
    )
}
