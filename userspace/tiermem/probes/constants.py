"""What a program must know of the running kernel at compile time.

Each is the meaning of one macro that a program in ebpf/ leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tiermem.errors import MissingError
from tiermem.probes.btf import KernelTypes
from tiermem.probes.tracepoints import Tracepoint


class Constant(Protocol):
    """MissingError, naming what is not there, where this kernel does not have it."""

    def value(self, types: KernelTypes, tracepoints: Mapping[str, Tracepoint]) -> int: ...


@dataclass(frozen=True)
class Argument:
    """The position of a field among the arguments of a tracepoint, "system:name"."""

    tracepoint: str
    field: str

    def value(self, _types: KernelTypes, tracepoints: Mapping[str, Tracepoint]) -> int:
        if self.tracepoint not in tracepoints:
            raise MissingError(f"this kernel has no tracepoint {self.tracepoint}")
        return tracepoints[self.tracepoint].position(self.field)


@dataclass(frozen=True)
class FieldOffset:
    """Where in a struct a field lies, in bytes."""

    struct: str
    field: str

    def value(self, types: KernelTypes, _tracepoints: Mapping[str, Tracepoint]) -> int:
        return types.field_offset(self.struct, self.field)


@dataclass(frozen=True)
class StructBytes:
    """The size of a struct."""

    struct: str

    def value(self, types: KernelTypes, _tracepoints: Mapping[str, Tracepoint]) -> int:
        return types.struct_bytes(self.struct)


@dataclass(frozen=True)
class Enumerator:
    """The value of an enumerator."""

    enum: str
    name: str

    def value(self, types: KernelTypes, _tracepoints: Mapping[str, Tracepoint]) -> int:
        return types.enumerator(self.enum, self.name)


FOLIO: dict[str, Constant] = {
    "STRUCT_PAGE_BYTES": StructBytes("page"),
    "PG_HEAD_BIT": Enumerator("pageflags", "PG_head"),
}
"""The macros of ebpf/folio.h."""
