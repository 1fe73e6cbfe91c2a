"""Choosing among the hooks that a kernel offers."""

from __future__ import annotations

from tiermem.probes.hooks import (
    Hook,
    HookKind,
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
    symbols = {"numa_migrate_check": "numa_migrate_check"}
    assert possible_alternatives(PART, symbols, set()) == []
    assert possible_alternatives(PART, symbols, {"task:task_rename"}) == [PART.alternatives[1]]


def test_the_best_comes_first_and_attaches_to_the_symbol_found() -> None:
    symbols = {"do_numa_page": "do_numa_page.isra.0", "numa_migrate_check": "numa_migrate_check"}
    first, second = possible_alternatives(PART, symbols, {"task:task_rename"})
    assert first == (
        Hook(HookKind.KPROBE, "do_numa_page.isra.0", "begin"),
        Hook(HookKind.KRETPROBE, "do_numa_page.isra.0", "end"),
    )
    assert second == PART.alternatives[1]


def test_all_targets_of_all_alternatives_are_looked_up() -> None:
    assert functions_of([PART]) == {"do_numa_page", "numa_migrate_check"}
    assert tracepoints_of([PART]) == {"task:task_rename"}
