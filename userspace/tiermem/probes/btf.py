"""Offsets and values in the running kernel, from its type information (BTF).

A program that includes the kernel's headers takes five times as long to compile
(a minute, on the testbed's emulated processor) to learn two offsets. They are
read here instead, and handed to the program as macros.

It also knows which functions were not inlined away, at a hundredth of the price
of reading /proc/kallsyms there.

Only a few types are looked up in some 150,000, so none but those is parsed:
the name's offset in the string section leads to the records that carry it.
Format: Documentation/bpf/btf.rst in the kernel's sources.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import MissingError

KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_RECORD = struct.Struct("<III")  # name, info, size
_MEMBER = struct.Struct("<III")  # name, type, offset in bits
_ENUMERATOR = struct.Struct("<Ii")  # name, value
_STRUCT, _ENUM, _FUNCTION = 4, 6, 12


@dataclass(frozen=True)
class KernelTypes:
    """`strings` and `types` are the two sections of a BTF blob."""

    strings: bytes
    types: bytes

    def struct_bytes(self, name: str) -> int:
        """The size of a struct."""
        return self._record(name, _STRUCT)[2]

    def field_offset(self, struct_name: str, field: str) -> int:
        """Where in the struct a field lies, in bytes; the struct's own fields only."""
        start, count, _ = self._record(struct_name, _STRUCT)
        for i in range(count):
            name, _, bits = _MEMBER.unpack_from(self.types, start + i * _MEMBER.size)
            if self._string(name) == field:
                return int(bits & 0xFFFFFF) // 8
        raise MissingError(f"struct {struct_name} of this kernel has no field {field}")

    def enumerator(self, enum_name: str, enumerator: str) -> int:
        """The value of an enumerator."""
        start, count, _ = self._record(enum_name, _ENUM)
        for i in range(count):
            name, value = _ENUMERATOR.unpack_from(self.types, start + i * _ENUMERATOR.size)
            if self._string(name) == enumerator:
                return int(value)
        raise MissingError(f"enum {enum_name} of this kernel has no {enumerator}")

    def has_function(self, name: str) -> bool:
        """Whether the kernel has this function as one that can be hooked, not inlined away."""
        return any(info >> 24 & 0x1F == _FUNCTION for _, info, _ in self._named(name))

    def _record(self, name: str, kind: int) -> tuple[int, int, int]:
        """(offset of the first member, number of members, size) of a struct or an enum."""
        member = _MEMBER if kind == _STRUCT else _ENUMERATOR
        for at, info, size in self._named(name):
            count, start = info & 0xFFFF, at + _RECORD.size
            if info >> 24 & 0x1F == kind and self._plausible(start, count, size, member):
                return start, count, size
        what = "struct" if kind == _STRUCT else "enum"
        raise MissingError(f"this kernel's type information has no {what} {name}")

    def _named(self, name: str) -> Iterator[tuple[int, int, int]]:
        """(offset, info, size or type) wherever a record of that name may start."""
        wanted = self.strings.find(b"\0" + name.encode() + b"\0") + 1
        pattern = wanted.to_bytes(4, "little")
        at = self.types.find(pattern) if wanted else -1
        while at >= 0:
            if at % 4 == 0 and at + _RECORD.size <= len(self.types):
                _, info, size = _RECORD.unpack_from(self.types, at)
                yield at, info, size
            at = self.types.find(pattern, at + 1)

    def _plausible(self, start: int, count: int, size: int, member: struct.Struct) -> bool:
        """Whether members follow, not whatever happens to lie behind a number like the name's."""
        if not count or not size or start + count * member.size > len(self.types):
            return False
        names = (member.unpack_from(self.types, start + i * member.size)[0] for i in range(count))
        return all(self._starts_string(name) for name in names)

    def _starts_string(self, offset: int) -> bool:
        return offset == 0 or (offset < len(self.strings) and self.strings[offset - 1] == 0)

    def _string(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()


def parse_btf(blob: bytes) -> KernelTypes:
    """Find the sections. ValueError where it is no BTF in this machine's byte order."""
    if len(blob) < _HEADER.size or _HEADER.unpack_from(blob)[0] != _MAGIC:
        raise ValueError("not little-endian BTF")
    _, _, _, header, type_offset, type_bytes, string_offset, string_bytes = _HEADER.unpack_from(
        blob
    )
    types = blob[header + type_offset :][:type_bytes]
    return KernelTypes(blob[header + string_offset :][:string_bytes], types)


def read_kernel_types(path: Path = KERNEL_BTF) -> KernelTypes:
    """Of the running kernel. MissingError where it has no BTF."""
    try:
        return parse_btf(path.read_bytes())
    except OSError as error:
        raise MissingError(
            f"{path}: {error.strerror}; probes need a kernel built with CONFIG_DEBUG_INFO_BTF"
        ) from error
