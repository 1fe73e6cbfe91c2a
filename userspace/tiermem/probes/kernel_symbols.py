"""Which functions this kernel has: /proc/kallsyms, and the choice among alternatives.

Function names differ between kernels, and a compiler may inline a static
function or rename its clone (`do_numa_page.isra.0`). Nothing here knows bcc.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tiermem.errors import MissingError

KALLSYMS = Path("/proc/kallsyms")
MODULES = Path("/proc/modules")


def find_functions(names: Iterable[str], kallsyms: bytes) -> dict[str, str]:
    """For each wanted name the symbol to attach to; absent functions are left out.

    The function itself is preferred to a clone of it. `.cold` and `.part`
    clones are pieces of a function, not the function, and never chosen.
    """
    wanted = sorted(set(names))
    if not wanted:
        return {}
    pattern = rb"^[0-9a-f]+ [tTwW] ((%s)(?:\.(?:isra|constprop)\.\d+)*)(?:\s|$)" % b"|".join(
        re.escape(name.encode()) for name in wanted
    )
    found: dict[str, str] = {}
    for match in re.finditer(pattern, kallsyms, re.MULTILINE):
        symbol, name = match[1].decode(), match[2].decode()
        if symbol == name or name not in found:
            found[name] = symbol
    return found


def read_functions(names: Iterable[str], kallsyms: Path = KALLSYMS) -> dict[str, str]:
    """As `find_functions`, of the running kernel. MissingError where it hides its symbols."""
    try:
        content = kallsyms.read_bytes()
    except OSError as error:
        raise MissingError(f"{kallsyms}: {error.strerror}; mount /proc") from error
    return find_functions(names, content)


def module_of(address: int, modules: str) -> str:
    """The name of the module whose text holds `address`, "" for the kernel's own.

    `modules` is the content of /proc/modules as root sees it.
    """
    for line in modules.splitlines():
        fields = line.split()
        if len(fields) < 6:
            continue
        base = int(fields[5], 16)
        if base and base <= address < base + int(fields[1]):
            return fields[0]
    return ""


def module_of_running(address: int) -> str:
    """As `module_of`, of the running kernel."""
    return module_of(address, MODULES.read_text())
