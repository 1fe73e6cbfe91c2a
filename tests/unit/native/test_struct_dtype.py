"""numpy's view of a C structure agrees with the compiler's."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.native._uapi import ffi
from tiermem.native.struct_dtype import struct_dtype


@pytest.mark.parametrize(
    "name",
    ["tiermem_list_entry", "tiermem_hpt_record", "tiermem_clock_page", "tiermem_regs"],
)
def test_size_and_offsets_are_the_compilers(name: str) -> None:
    dtype = struct_dtype(ffi, name)
    ctype = ffi.typeof(f"struct {name}")
    assert dtype.itemsize == ffi.sizeof(ctype)
    assert dtype.fields is not None
    for field, description in ctype.fields:
        assert dtype.fields[field][1] == description.offset


def test_values_written_in_c_are_read_in_numpy() -> None:
    regs = ffi.new("struct tiermem_regs *")
    regs.config.hwt.period_ns = 2**40
    regs.list_head[3] = 7
    seen = np.frombuffer(ffi.buffer(regs), dtype=struct_dtype(ffi, "tiermem_regs"))[0]
    assert seen["config"]["hwt"]["period_ns"] == 2**40
    assert seen["list_head"].tolist() == [0, 0, 0, 7]
    assert seen["list_head"].dtype == np.uint32


def test_signed_fields_stay_signed() -> None:
    arguments = ffi.new("struct tiermem_promote_pfns *")
    arguments.target_node = -3
    dtype = struct_dtype(ffi, "tiermem_promote_pfns")
    assert np.frombuffer(ffi.buffer(arguments), dtype=dtype)[0]["target_node"] == -3
