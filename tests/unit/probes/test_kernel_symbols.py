"""Finding functions in /proc/kallsyms and modules in /proc/modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError
from tiermem.probes.kernel_symbols import find_functions, module_of, read_functions

KALLSYMS = b"""\
ffffffff81000000 T _stext
ffffffff81200010 t do_numa_page.isra.0
ffffffff81200900 t do_numa_page.isra.0.cold
ffffffff81201000 T handle_mm_fault
ffffffff81201400 t migrate_pages_batch
ffffffff81202000 t task_numa_work
ffffffff81203000 t task_numa_work.constprop.0
ffffffff82000000 D migrate_pages
ffffffffc0a01000 t promote_batch\t[tiermem_promote]
"""

MODULES = """\
tiermem_promote 16384 0 - Live 0xffffffffc0a00000 (O)
kmem 20480 1 - Live 0xffffffffc0b00000
hidden 4096 0 - Live 0x0000000000000000
"""


def test_a_renamed_clone_stands_for_an_absent_function() -> None:
    assert find_functions(["do_numa_page"], KALLSYMS) == {"do_numa_page": "do_numa_page.isra.0"}


def test_the_function_itself_is_preferred_to_its_clone() -> None:
    assert find_functions(["task_numa_work"], KALLSYMS) == {"task_numa_work": "task_numa_work"}


def test_data_and_longer_names_are_no_match() -> None:
    assert find_functions(["migrate_pages", "handle_mm"], KALLSYMS) == {}


def test_functions_of_modules_are_found() -> None:
    assert find_functions(["promote_batch"], KALLSYMS) == {"promote_batch": "promote_batch"}


def test_nothing_wanted_is_nothing_found() -> None:
    assert find_functions([], KALLSYMS) == {}


def test_an_address_belongs_to_the_module_whose_text_holds_it() -> None:
    assert module_of(0xFFFFFFFFC0A00000, MODULES) == "tiermem_promote"
    assert module_of(0xFFFFFFFFC0A03FFF, MODULES) == "tiermem_promote"
    assert module_of(0xFFFFFFFFC0A04000, MODULES) == ""
    assert module_of(0xFFFFFFFF81201000, MODULES) == ""


def test_a_module_whose_base_is_hidden_owns_nothing() -> None:
    assert module_of(0x10, MODULES) == ""


def test_an_unreadable_kallsyms_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="kallsyms"):
        read_functions(["handle_mm_fault"], tmp_path / "kallsyms")
