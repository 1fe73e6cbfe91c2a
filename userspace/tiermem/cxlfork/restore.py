"""Make a process from its image: the same memory, threads, descriptors, and output from there on.

    with Source(pool, image, entry) as source:
        process = restore(source, Ghost(), Policy.MOW, stdio=(0, 1, 2))
        process.wait()

A failure leaves nothing behind, says what it was about, and uses the ghost up.
"""

from __future__ import annotations

from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.failures import failure
from tiermem.cxlfork.restoring.fitness import check_files
from tiermem.cxlfork.restoring.ghost import Ghost
from tiermem.cxlfork.restoring.process import Note, RestoredProcess, read_report
from tiermem.cxlfork.restoring.source import Source
from tiermem.errors import ProcessGoneError
from tiermem.native._fork import ffi, lib

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
) -> RestoredProcess:
    """The process, running. stdio: descriptors for its 0, 1 and 2 where these were a
    terminal's or otherwise not its own. die_alone: it is killed when this process ends.

    MissingError for a file that is not there or not the same, before the ghost is used;
    else KernelError, ProcessGoneError.
    """
    check_files(source.image)
    pages = source.pages_fd(policy)
    command = ffi.new("struct restore_command *")
    command.version = lib.RESTORE_VERSION
    command.image_at, command.image_bytes = source.at, source.bytes
    command.flags = lib.RESTORE_DIE_ALONE if die_alone else 0
    if policy is Policy.HT:
        command.flags |= lib.RESTORE_COPY_AHEAD
    fds = [source.pool_fd, *stdio, *([] if pages is None else [pages])]
    ghost.send(bytes(ffi.buffer(command)), fds)
    report, pid = read_report(ghost.control)
    if report is None:
        ghost.close()
        raise ProcessGoneError(ghost.pid)
    if report.outcome != lib.RESTORE_RUNS:
        ghost.close()
        raise failure(source.image, report)
    phases = {name: int(report.phase_ns[phase]) for phase, name in _PHASES.items()}
    return RestoredProcess(ghost, pid, phases, Note(report.notes))
