"""Make a process from its image: the same memory, threads, descriptors, and output from there on.

    with Source(pool, image, entry) as source:
        process = restore(source, Ghost(), Policy.MOW, stdio=(0, 1, 2))
        process.wait()

A failure leaves nothing behind, says what it was about, and uses the ghost up.
"""

from __future__ import annotations

from typing import Any

from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.failures import failure
from tiermem.cxlfork.restoring.fitness import check_files
from tiermem.cxlfork.restoring.ghost import Ghost
from tiermem.cxlfork.restoring.process import Note, RestoredProcess, is_readable, read_report
from tiermem.cxlfork.restoring.source import Source
from tiermem.errors import ProcessGoneError, TimeoutExpiredError
from tiermem.native._fork import lib

__all__ = ["Ghost", "Note", "RestoredProcess", "Source", "restore"]

_PHASES = {
    lib.RESTORE_PHASE_IMAGE: "image",
    lib.RESTORE_PHASE_DESCRIPTORS: "descriptors",
    lib.RESTORE_PHASE_MEMORY: "memory",
    lib.RESTORE_PHASE_THREADS: "threads",
    lib.RESTORE_PHASE_ATTRIBUTES: "attributes",
    lib.RESTORE_PHASE_REGISTERS: "registers",
}


def restore(
    source: Source,
    ghost: Ghost,
    policy: Policy,
    stdio: tuple[int, int, int],
    *,
    die_alone: bool = False,
    timeout_s: float = 60.0,
) -> RestoredProcess:
    """The process, running. stdio: descriptors for its 0, 1 and 2 where these were a
    terminal's or otherwise not its own. die_alone: it is killed when this process ends,
    until `RestoredProcess.outlive`. In any case it is where this process ends before the
    restored one runs.

    Before the ghost is used: DamagedError for an image whose front has changed since it was
    opened, MissingError for a file that is not there or not the same. Else KernelError,
    ProcessGoneError, and TimeoutExpiredError where a file system or a loaded host takes too
    long.
    """
    source.image.check_again()
    check_files(source.image)
    pages = source.pages_fd(policy)
    flags = lib.RESTORE_DIE_ALONE if die_alone else 0
    if policy is Policy.HT:
        flags |= lib.RESTORE_COPY_AHEAD
    fds = [source.pool_fd, *stdio, *([] if pages is None else [pages])]
    ghost.command(flags, (source.at, source.bytes), fds)
    try:
        report, pid = _wait_until_it_runs(source, ghost, timeout_s)
    except BaseException:
        ghost.close()
        raise
    phases = {name: int(report.phase_ns[phase]) for phase, name in _PHASES.items()}
    return RestoredProcess(ghost, pid, phases, Note(report.notes))


def _wait_until_it_runs(source: Source, ghost: Ghost, timeout_s: float) -> tuple[Any, int]:
    if not is_readable(ghost.control, timeout_s):
        raise TimeoutExpiredError(
            f"restore image {source.image.name!r}: not done within {timeout_s:g} s"
        )
    report, pid = read_report(ghost.control)
    if report is None:
        raise ProcessGoneError(ghost.pid)
    if report.outcome != lib.RESTORE_RUNS:
        raise failure(source.image, report)
    return report, pid
