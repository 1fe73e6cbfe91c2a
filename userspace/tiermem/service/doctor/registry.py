"""The registry of checks, and what a check says.

To add one: write a function from Facts to Finding in the `check_…` module it
belongs to and decorate it with `@check("its-name")`. Text is for people who
research the kernel: say what was seen, why it matters for tiering, and the
exact command.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from tiermem.service.doctor.facts import Facts


class Status(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Tiering works, and less well, or not in every way."""
    FAIL = "fail"
    """Pages will not move between tiers."""


@dataclass(frozen=True)
class Finding:
    """`seen` is always there; `why` and `fix` where something is to be changed."""

    name: str
    status: Status
    seen: str
    why: str = ""
    fix: str = ""


Check = Callable[[Facts], Finding]
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under `name`; the order of registration is the order of the report."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


def examine(facts: Facts) -> list[Finding]:
    """Every check's finding."""
    return [function(facts) for function in CHECKS.values()]
