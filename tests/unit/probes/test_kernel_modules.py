"""Finding the module that an address belongs to."""

from __future__ import annotations

from tiermem.probes.kernel_modules import module_of

MODULES = """\
tiermem_promote 16384 0 - Live 0xffffffffc0a00000 (O)
kmem 20480 1 - Live 0xffffffffc0b00000
hidden 4096 0 - Live 0x0000000000000000
"""


def test_an_address_belongs_to_the_module_whose_text_holds_it() -> None:
    assert module_of(0xFFFFFFFFC0A00000, MODULES) == "tiermem_promote"
    assert module_of(0xFFFFFFFFC0A03FFF, MODULES) == "tiermem_promote"
    assert module_of(0xFFFFFFFFC0A04000, MODULES) == ""
    assert module_of(0xFFFFFFFF81201000, MODULES) == ""


def test_a_module_whose_base_is_hidden_owns_nothing() -> None:
    assert module_of(0x10, MODULES) == ""
