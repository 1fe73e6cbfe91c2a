"""Looking up a few types in the kernel's type information."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tiermem.errors import MissingError
from tiermem.probes.btf import parse_btf, read_kernel_types

INT, STRUCT, ENUM, FUNCTION = 1, 4, 6, 12
BITFIELDS = 1 << 31


class Btf:
    """A small BTF blob in the making."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        at = self.strings.find(b"\0" + text.encode() + b"\0") + 1
        if not at:
            at = len(self.strings)
            self.strings += text.encode() + b"\0"
        return at

    def record(self, name: str, kind: int, count: int, size: int, flags: int = 0) -> None:
        self.types += struct.pack("<III", self.name(name), kind << 24 | count | flags, size)

    def structure(self, name: str, size: int, fields: dict[str, int], flags: int = 0) -> None:
        self.record(name, STRUCT, len(fields), size, flags)
        for field, bits in fields.items():
            self.types += struct.pack("<III", self.name(field), 1, bits)

    def enumeration(self, name: str, values: dict[str, int]) -> None:
        self.record(name, ENUM, len(values), 4)
        for value, number in values.items():
            self.types += struct.pack("<Ii", self.name(value), number)

    def blob(self) -> bytes:
        header = (0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBBIIIII", *header) + self.types + self.strings


@pytest.fixture
def btf() -> Btf:
    made = Btf()
    made.record("int", INT, 0, 4)
    made.types += struct.pack("<I", 32)
    made.structure("task_struct", 3264, {"flags": 44 * 8, "pid": 1264 * 8})
    made.structure("packed", 8, {"low": 0, "high": 3 << 24 | 32}, BITFIELDS)
    made.enumeration("pageflags", {"PG_locked": 0, "PG_head": 6})
    made.record("handle_mm_fault", FUNCTION, 0, 7)
    return made


def test_offsets_are_in_bytes(btf: Btf) -> None:
    types = parse_btf(btf.blob())
    assert types.field_offset("task_struct", "pid") == 1264
    assert types.field_offset("task_struct", "flags") == 44
    assert types.struct_bytes("task_struct") == 3264


def test_the_width_of_a_bit_field_is_no_part_of_its_offset(btf: Btf) -> None:
    assert parse_btf(btf.blob()).field_offset("packed", "high") == 4


def test_enumerators_have_values(btf: Btf) -> None:
    assert parse_btf(btf.blob()).enumerator("pageflags", "PG_head") == 6


def test_functions_are_told_from_other_things_of_a_name(btf: Btf) -> None:
    types = parse_btf(btf.blob())
    assert types.has_function("handle_mm_fault")
    assert not types.has_function("task_struct")
    assert not types.has_function("do_numa_page")


def test_a_number_that_looks_like_a_name_is_passed_over(btf: Btf) -> None:
    decoy = Btf()
    decoy.strings = btf.strings
    name = decoy.name("task_struct")
    decoy.types = struct.pack("<IIIIII", name, STRUCT << 24 | 1, 8, name + 1, 1, 0)
    decoy.types += btf.types
    assert parse_btf(decoy.blob()).struct_bytes("task_struct") == 3264


def test_what_is_not_there_is_named(btf: Btf) -> None:
    types = parse_btf(btf.blob())
    with pytest.raises(MissingError, match="no struct folio"):
        types.struct_bytes("folio")
    with pytest.raises(MissingError, match=r"task_struct .* no field comm"):
        types.field_offset("task_struct", "comm")
    with pytest.raises(MissingError, match=r"pageflags .* no PG_tail"):
        types.enumerator("pageflags", "PG_tail")


def test_something_else_is_no_btf() -> None:
    with pytest.raises(ValueError, match="BTF"):
        parse_btf(b"\x7fELF" + bytes(64))


def test_a_kernel_without_btf_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="CONFIG_DEBUG_INFO_BTF"):
        read_kernel_types(tmp_path / "vmlinux")
