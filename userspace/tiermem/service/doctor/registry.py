"""The registry of checks, and what a check says.

To add one: write a function from Facts to Finding in the `check_…` module it
belongs to and decorate it with `@check("its-name")`. Text is for people who
research the kernel: say what was seen, why it matters for tiering, and the
exact command.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

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


Part = TypeVar("Part")
Look = Callable[[Facts, Part], Finding]


def check_where_used(
    name: str, part_of: Callable[[Facts], Part | None], otherwise: str
) -> Callable[[Look[Part]], Check]:
    """Register a check of a part of tiermem that not every host uses: where its facts are None,
    all is well, and `otherwise` says why."""

    def register(look: Look[Part]) -> Check:
        @functools.wraps(look)
        def look_if_used(facts: Facts) -> Finding:
            part = part_of(facts)
            return Finding(name, Status.OK, otherwise) if part is None else look(facts, part)

        return check(name)(look_if_used)

    return register


def examine(facts: Facts) -> list[Finding]:
    """Every check's finding."""
    return [function(facts) for function in CHECKS.values()]
