"""The kernel's own DAMON statistics, which run from boot on recent kernels, and clear accessed bits
of pages here and there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tiermem.testbed import Guest

_ENABLED = "/sys/module/damon_stat/parameters/enabled"


@contextmanager
def without_damon_statistics(guest: Guest) -> Iterator[None]:
    """None meanwhile, where the kernel has them: for who looks at accessed bits."""
    found = guest.exec(["cat", _ENABLED])
    if found.status or found.stdout.strip() != "Y":
        yield
        return
    guest.check(["sh", "-c", f"echo N >{_ENABLED}"])
    try:
        yield
    finally:
        guest.check(["sh", "-c", f"echo Y >{_ENABLED}"])
