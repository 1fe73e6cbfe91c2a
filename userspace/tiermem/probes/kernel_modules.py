"""Which loaded module an address in the kernel belongs to: /proc/modules."""

from __future__ import annotations

from pathlib import Path

MODULES = Path("/proc/modules")


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
