"""What CXLfork needs: its module, its pool, its daemon. Well where nobody uses it here."""

from __future__ import annotations

import stat
from collections.abc import Callable

from tiermem.service.doctor.facts import Facts, ForkFacts
from tiermem.service.doctor.registry import Check, Finding, Look, Status, check_where_used

NOT_USED = "not needed: CXLfork is not used here (systemctl enable --now tiermem-fork)"


def _if_used(name: str) -> Callable[[Look[ForkFacts]], Check]:
    """Register a check that has something to say only where CXLfork is used."""
    return check_where_used(name, lambda facts: facts.fork, NOT_USED)


@_if_used("image-module")
def _image_module(facts: Facts, fork: ForkFacts) -> Finding:
    if "tiermem_image" in facts.loaded_modules:
        return Finding("image-module", Status.OK, "tiermem_image is loaded")
    if fork.pool_mode is not None and stat.S_ISREG(fork.pool_mode):
        return Finding("image-module", Status.OK, "not needed: the pool is a file")
    return Finding(
        "image-module",
        Status.WARN,
        "tiermem_image is not loaded",
        "pages of restored processes are then copied by userfaultfd as they are touched: slower, "
        "and no two processes share any",
        "make kmod install && modprobe tiermem_image",
    )


@_if_used("pool")
def _pool(_facts: Facts, fork: ForkFacts) -> Finding:
    if not fork.pool_trouble:
        return Finding("pool", Status.OK, f"{fork.pool} is a pool")
    if fork.pool_mode is None:
        fix = f"daxctl reconfigure-device --mode=devdax {fork.pool.name}"
        if fork.pool.parts[:2] != ("/", "dev"):
            fix = f"tiermem pool create {fork.pool} --hosts 2 --size 1G"
    else:
        fix = f"tiermem pool create {fork.pool} --hosts 2 (on one host; --force: it was another's)"
    return Finding(
        "pool",
        Status.WARN,
        fork.pool_trouble,
        "images of processes live in the pool, which every host of the pod must reach",
        f"{fix}; or name another pool in /etc/tiermem/fork.toml",
    )


@_if_used("fork-daemon")
def _fork_daemon(_facts: Facts, fork: ForkFacts) -> Finding:
    if not fork.daemon_trouble:
        return Finding("fork-daemon", Status.OK, "cxlforkd answers")
    return Finding(
        "fork-daemon",
        Status.WARN,
        fork.daemon_trouble,
        "nothing is checkpointed or restored here without it, and after a lease other hosts take "
        "this one for dead",
        "systemctl restart tiermem-fork; journalctl -u tiermem-fork says why it ended",
    )
