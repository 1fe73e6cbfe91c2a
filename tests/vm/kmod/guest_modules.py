"""Loading the modules in a guest, and running the cases of `in_guest/` there."""

from __future__ import annotations

from tiermem.testbed import Guest

MODULES = ("tiermem_hpt", "tiermem_promote")
CASES = "/opt/tiermem/src/tests/vm/kmod/in_guest"
ENVIRONMENT = {
    "PYTHONPATH": f"/opt/tiermem/src/userspace:{CASES}",
    "TIERMEM_NATIVE_PATH": "/opt/tiermem/artifacts/native",
    "PYTHONPYCACHEPREFIX": "/var/cache/tiermem-pycache",
}
PYTEST = (
    *("python3", "-m", "pytest", "-q", "--tb=short", "-c", "/dev/null", "-p", "no:cacheprovider"),
    *("--import-mode=importlib", f"--rootdir={CASES}", f"--confcutdir={CASES}"),
)


def load(guest: Guest, *modules: str) -> None:
    """insmod them (both of M5's without names), as built for the kernel that runs."""
    release = guest.check(["uname", "-r"]).stdout.strip()
    for module in modules or MODULES:
        guest.check(["insmod", f"/opt/tiermem/artifacts/modules/{release}/{module}.ko"])


def unload(guest: Guest, *modules: str) -> None:
    """rmmod them (both of M5's without names); nothing may hold them."""
    guest.check(["rmmod", *(modules or MODULES)])


def run_cases(guest: Guest, *files: str) -> None:
    """Run files of `in_guest/` under the guest's pytest; its report is the failure."""
    paths = [f"{CASES}/{file}" for file in files]
    done = guest.exec([*PYTEST, *paths], env=ENVIRONMENT, timeout_s=800)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"
