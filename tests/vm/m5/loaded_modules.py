"""The project's modules in a guest, whatever of them earlier tests have left loaded."""

from __future__ import annotations

from tiermem.testbed import Guest

MODULES = ("tiermem_hpt", "tiermem_promote")


def present(guest: Guest) -> set[str]:
    """Which of the project's modules are loaded."""
    lines = guest.check(["cat", "/proc/modules"]).stdout.splitlines()
    return {line.split()[0] for line in lines} & set(MODULES)


def load_missing(guest: Guest) -> None:
    """insmod those that are not loaded, as built for the kernel that runs."""
    release = guest.check(["uname", "-r"]).stdout.strip()
    for module in sorted(set(MODULES) - present(guest)):
        guest.check(["insmod", f"/opt/tiermem/artifacts/modules/{release}/{module}.ko"])


def unload_present(guest: Guest, *names: str) -> None:
    """rmmod those of `names` (all, without) that are loaded."""
    for module in sorted(present(guest) & set(names or MODULES)):
        guest.check(["rmmod", module])
