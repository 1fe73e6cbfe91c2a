"""What a probe is made of: a program in ebpf/, its hooks, and how to read its maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from tiermem.probes.constants import Constant
from tiermem.probes.hooks import Part
from tiermem.probes.loader import Program
from tiermem.probes.snapshot import Snapshot
from tiermem.probes.tracepoints import Tracepoint

S = TypeVar("S", bound=Snapshot)
Row = TypeVar("Row")


@dataclass(frozen=True)
class Question(Generic[S]):
    """One question asked of the kernel.

    `constants` says what the macros that the program leaves open stand for.
    `open_reader` is called once, after everything is attached, and returns the
    reader.
    """

    name: str
    asks: str
    parts: tuple[Part, ...]
    open_reader: Callable[[Program, Mapping[str, Tracepoint]], Callable[[], S]]
    constants: Mapping[str, Constant] = field(default_factory=dict)


def counted_since(
    now: tuple[Row, ...], earlier: tuple[Row, ...], counters: tuple[str, ...]
) -> tuple[Row, ...]:
    """Rows of one dataclass, their `counters` less what `earlier` had under the same key.

    The key is every field that is no counter; rows that counted nothing are left out.
    """

    def key_of(row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, f.name) for f in fields(row) if f.name not in counters)

    before = {key_of(row): row for row in earlier}
    result = []
    for row in now:
        old = before.get(key_of(row))
        counts = {
            name: getattr(row, name) - (getattr(old, name) if old else 0) for name in counters
        }
        if any(counts.values()):
            result.append(replace(row, **counts))  # type: ignore[type-var]
    return tuple(result)
