"""Where a program hooks into the kernel, and the choice that this kernel allows.

A `Part` is one thing that a probe must see. It names alternatives, best first:
each is a set of hooks that work together (entry and return of a function, say).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
    return {hook.target for hook in _hooks(parts) if hook.kind != HookKind.RAW_TRACEPOINT}


def tracepoints_of(parts: Iterable[Part]) -> set[str]:
    """Every tracepoint, as "system:name", that some alternative wants."""
    return {hook.target for hook in _hooks(parts) if hook.kind == HookKind.RAW_TRACEPOINT}


def possible_alternatives(
    part: Part, symbols: Mapping[str, str], tracepoints: Collection[str]
) -> list[tuple[Hook, ...]]:
    """The alternatives whose every target exists, best first, with functions' names
    replaced by the symbols to attach to."""
    possible = []
    for alternative in part.alternatives:
        if all(
            hook.target in (tracepoints if hook.kind == HookKind.RAW_TRACEPOINT else symbols)
            for hook in alternative
        ):
            possible.append(
                tuple(
                    Hook(hook.kind, symbols.get(hook.target, hook.target), hook.handler)
                    for hook in alternative
                )
            )
    return possible


def _hooks(parts: Iterable[Part]) -> Iterable[Hook]:
    return (hook for part in parts for alternative in part.alternatives for hook in alternative)
