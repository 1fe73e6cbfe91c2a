"""Choosing among the hooks that a kernel offers."""

from __future__ import annotations

from tiermem.probes.hooks import (
    Part,
    around,
    entry,
    event,
    functions_of,
    possible_alternatives,
    tracepoints_of,
)

PART = Part(
    "hint faults",
    (
        around("do_numa_page", "begin", "end"),
        (entry("numa_migrate_check", "begin"), event("task:task_rename", "rename")),
    ),
)


def test_an_alternative_needs_all_of_its_targets() -> None:
    assert possible_alternatives(PART, {"numa_migrate_check"}, set()) == []
    assert possible_alternatives(PART, set(), {"task:task_rename"}) == []
    both = possible_alternatives(PART, {"numa_migrate_check"}, {"task:task_rename"})
    assert both == [PART.alternatives[1]]


def test_the_best_comes_first() -> None:
    functions = {"do_numa_page", "numa_migrate_check"}
    assert possible_alternatives(PART, functions, {"task:task_rename"}) == list(PART.alternatives)


def test_all_targets_of_all_alternatives_are_looked_up() -> None:
    assert functions_of([PART]) == {"do_numa_page", "numa_migrate_check"}
    assert tracepoints_of([PART]) == {"task:task_rename"}
