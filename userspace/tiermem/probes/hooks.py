"""Where a program hooks into the kernel, and the choice that this kernel allows.

A `Part` is one thing that a probe must see. It names alternatives, best first:
each is a set of hooks that work together (entry and return of a function, say).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class HookKind(StrEnum):
    KPROBE = "kprobe"
    KRETPROBE = "kretprobe"
    RAW_TRACEPOINT = "raw_tracepoint"


@dataclass(frozen=True)
class Hook:
    """`handler` (a function of the program) runs at `target`.

    A target is a kernel function, or "system:name" for a raw tracepoint.
    """

    kind: HookKind
    target: str
    handler: str


@dataclass(frozen=True)
class Part:
    """One thing to see; a probe works without it only where `needed` is false."""

    sees: str
    alternatives: tuple[tuple[Hook, ...], ...]
    needed: bool = True


def entry(function: str, handler: str) -> Hook:
    return Hook(HookKind.KPROBE, function, handler)


def around(function: str, at_entry: str, at_return: str) -> tuple[Hook, Hook]:
    return (entry(function, at_entry), Hook(HookKind.KRETPROBE, function, at_return))


def event(tracepoint: str, handler: str) -> Hook:
    return Hook(HookKind.RAW_TRACEPOINT, tracepoint, handler)


def functions_of(parts: Iterable[Part]) -> set[str]:
    """Every kernel function that some alternative wants."""
    return functions_of_hooks(_hooks(parts))


def tracepoints_of(parts: Iterable[Part]) -> set[str]:
    """Every tracepoint, as "system:name", that some alternative wants."""
    return tracepoints_of_hooks(_hooks(parts))


def possible_alternatives(
    part: Part, functions: Collection[str], tracepoints: Collection[str]
) -> list[tuple[Hook, ...]]:
    """The alternatives whose every target this kernel has, best first."""
    return [
        alternative
        for alternative in part.alternatives
        if functions_of_hooks(alternative) <= set(functions)
        and tracepoints_of_hooks(alternative) <= set(tracepoints)
    ]


def functions_of_hooks(hooks: Iterable[Hook]) -> set[str]:
    return {hook.target for hook in hooks if hook.kind != HookKind.RAW_TRACEPOINT}


def tracepoints_of_hooks(hooks: Iterable[Hook]) -> set[str]:
    return {hook.target for hook in hooks if hook.kind == HookKind.RAW_TRACEPOINT}


def _hooks(parts: Iterable[Part]) -> Iterable[Hook]:
    return (hook for part in parts for alternative in part.alternatives for hook in alternative)
