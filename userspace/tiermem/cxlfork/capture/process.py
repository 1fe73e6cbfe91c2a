"""What all threads of a process share: identity, credentials, limits, where its parts are."""

from __future__ import annotations

from tiermem.cxlfork.capture.facts import (
    PROC,
    Stat,
    read_binary,
    read_link,
    read_stat,
    read_status,
)
from tiermem.cxlfork.capture.files import file_record, is_at_its_name
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.signals import read_actions
from tiermem.cxlfork.capture.timers import Timers
from tiermem.cxlfork.capture.tracing import Calls, StoppedProcess
from tiermem.cxlfork.records import Process
from tiermem.layer.pages.mappings import read_process_file
from tiermem.native._fork import lib

_PR_GET_DUMPABLE = 3
_PR_GET_SECUREBITS = 27
_PR_GET_CHILD_SUBREAPER = 37
_LIMIT_NAME_WIDTH = 26
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def read_process(
    stopped: StoppedProcess, calls: Calls, scratch: Scratch, timers: Timers
) -> Process:
    """All of it. `calls` are by its leader."""
    pid = stopped.pid
    status, stat = read_status(pid), read_stat(pid)
    executable = PROC / str(pid) / "exe"
    return Process(
        pid=status.inner_pid,
        is_group_leader=stat.process_group == pid,
        is_session_leader=stat.session == pid,
        umask=status.number("Umask", 8),
        personality=int(read_process_file(pid, "personality"), 16),
        dumpable=calls.call(lib.SYS_prctl, _PR_GET_DUMPABLE),
        no_new_privs=status.number("NoNewPrivs") != 0,
        is_subreaper=_is_subreaper(calls, scratch),
        thp_disabled=status.fields.get("THP_enabled") == "0",
        oom_score_adj=int(read_process_file(pid, "oom_score_adj")),
        timer_slack_ns=int(read_process_file(pid, "timerslack_ns")),
        uids=status.numbers("Uid"),
        gids=status.numbers("Gid"),
        capabilities=tuple(status.number(name, 16) for name in _CAPABILITIES),
        securebits=calls.call(lib.SYS_prctl, _PR_GET_SECUREBITS),
        mm=_memory_fields(stat, calls),
        executable=file_record(read_link(pid, "exe"), executable.stat(), is_fixed=True),
        cwd=read_link(pid, "cwd"),
        itimers=timers.itimers,
        limits=_limits(pid),
        actions=read_actions(calls, scratch, status),
        groups=status.numbers("Groups"),
        auxv=read_binary(pid, "auxv"),
        pending=timers.pending,
    )


def _is_subreaper(calls: Calls, scratch: Scratch) -> bool:
    calls.call(lib.SYS_prctl, _PR_GET_CHILD_SUBREAPER, scratch.address)
    return int.from_bytes(scratch.read(4), "little") != 0


def _memory_fields(stat: Stat, calls: Calls) -> tuple[int, ...]:
    """In the order of struct prctl_mm_map."""
    return (
        *stat.code,
        *stat.data,
        stat.heap_start,
        calls.call(lib.SYS_brk, 0),
        stat.stack_start,
        *stat.arguments,
        *stat.environment,
    )


def _limits(pid: int) -> tuple[tuple[int, int], ...]:
    """A heading, then a line each in the order of their numbers: name, soft, hard, unit.

    prlimit(2) may refuse to tell of another user's process what everybody may read here.
    """
    lines = read_process_file(pid, "limits").splitlines()[1:]
    values = [line[_LIMIT_NAME_WIDTH:].split()[:2] for line in lines]
    assert len(values) == lib.IMAGE_RLIMITS
    return tuple((_limit(soft), _limit(hard)) for soft, hard in values)


def _limit(text: str) -> int:
    return (1 << 64) - 1 if text == "unlimited" else int(text)


def credentials_differ(pid: int, tids: list[int]) -> list[int]:
    """Threads that are not who the leader is."""
    own = read_status(pid).credentials
    return [tid for tid in tids if read_status(pid, tid).credentials != own]


def cwd_is_there(pid: int) -> bool:
    """Whether its working folder still is."""
    return is_at_its_name(read_link(pid, "cwd"), (PROC / str(pid) / "cwd").stat())
