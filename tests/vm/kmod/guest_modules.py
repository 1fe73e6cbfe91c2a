"""Loading the modules in a guest, and running the cases of `in_guest/` there."""

from __future__ import annotations

from tiermem.testbed import Guest

from tests.vm import guest_python

MODULES = ("tiermem_hpt", "tiermem_promote")
CASES = "tests/vm/kmod/in_guest"


def load(guest: Guest, *modules: str) -> None:
    """insmod them (both of M5's without names), as built for the kernel that runs."""
    release = guest.check(["uname", "-r"]).stdout.strip()
    for module in modules or MODULES:
        guest.check(["insmod", f"/opt/tiermem/artifacts/modules/{release}/{module}.ko"])


def unload(guest: Guest, *modules: str) -> None:
    """rmmod them (both of M5's without names); nothing may hold them."""
    guest.check(["rmmod", *(modules or MODULES)])


def run_cases(guest: Guest, *files: str) -> None:
    """Run files of `in_guest/` under the guest's pytest, at once, since to start it takes a guest
    seconds; its report is the failure."""
    guest_python.run_cases(guest, CASES, *files)
