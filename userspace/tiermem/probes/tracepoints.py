"""Tracepoints as tracefs describes them: positions of fields, names of values.

A raw tracepoint hands over its arguments by position; the `format` file gives
the fields in that order and spells out the symbolic names (migration reasons,
say), so neither is typed here and both follow the kernel that runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import MissingError

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


@dataclass(frozen=True)
class Tracepoint:
    """One event: `fields` in the order of its arguments, `symbols[field][value]` its names."""

    system: str
    name: str
    fields: tuple[str, ...]
    symbols: dict[str, dict[int, str]]

    def position(self, field: str) -> int:
        """Which argument `field` is, from 0. MissingError where this kernel has no such field."""
        if field not in self.fields:
            raise MissingError(
                f"tracepoint {self.system}:{self.name} has no field {field} on this kernel; "
                f"it has {', '.join(self.fields)}"
            )
        return self.fields.index(field)


def parse_format(system: str, name: str, content: str) -> Tracepoint:
    """Read a tracefs `format` file; the fields common to all events are left out."""
    fields = []
    for declaration in re.findall(r"^\s*field:([^;]+);", content, re.MULTILINE):
        field = declaration.split("[")[0].split()[-1].lstrip("*")
        if not field.startswith("common_"):
            fields.append(field)
    symbols = {}
    for field, pairs in re.findall(
        r"__print_symbolic\(REC->(\w+),\s*((?:\{[^}]*\},?\s*)+)\)", content
    ):
        symbols[field] = {
            int(value, 0): label
            for value, label in re.findall(r"\{\s*(-?\w+)\s*,\s*\"([^\"]*)\"\s*\}", pairs)
        }
    return Tracepoint(system, name, tuple(fields), symbols)


def find_tracefs() -> Path:
    """Where tracefs is mounted. MissingError where it is not."""
    for root in TRACEFS:
        if (root / "events").is_dir():
            return root
    raise MissingError("tracefs is not mounted; run: mount -t tracefs nodev /sys/kernel/tracing")


def read_tracepoint(system: str, name: str, tracefs: Path | None = None) -> Tracepoint | None:
    """The event of the running kernel, None where it has no such event."""
    path = (tracefs or find_tracefs()) / "events" / system / name / "format"
    try:
        content = path.read_text()
    except FileNotFoundError:
        return None
    return parse_format(system, name, content)
