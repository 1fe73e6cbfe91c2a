"""What an image says of a process, as records: what is taken makes them, what restores or
shows an image reads them. They mirror native/fork_image.h, with indices resolved.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tiermem.native._fork import lib

LARGE_PAGES: int = lib.IMAGE_LARGE_PAGES
SIGNALS: int = lib.IMAGE_SIGNALS
NO_FLAGS = 0


class VmaKind(enum.IntEnum):
    """What kind of memory a mapping is; see the header."""

    ANONYMOUS = lib.IMAGE_VMA_ANONYMOUS
    STACK = lib.IMAGE_VMA_STACK
    FILE = lib.IMAGE_VMA_FILE
    FILE_SHARED = lib.IMAGE_VMA_FILE_SHARED
    SHARED = lib.IMAGE_VMA_SHARED
    VDSO = lib.IMAGE_VMA_VDSO
    VVAR = lib.IMAGE_VMA_VVAR


class VmaFlag(enum.IntFlag):
    """What was asked of a mapping by mmap and madvise."""

    NO_RESERVE = lib.IMAGE_VMA_NO_RESERVE
    LOCKED = lib.IMAGE_VMA_LOCKED
    NO_HUGE_PAGES = lib.IMAGE_VMA_NO_HUGE_PAGES
    HUGE_PAGES = lib.IMAGE_VMA_HUGE_PAGES
    NOT_FORKED = lib.IMAGE_VMA_NOT_FORKED
    WIPED_ON_FORK = lib.IMAGE_VMA_WIPED_ON_FORK
    NOT_DUMPED = lib.IMAGE_VMA_NOT_DUMPED


class FdKind(enum.IntEnum):
    """What a descriptor is of; see the header."""

    PATH = lib.IMAGE_FD_PATH
    PIPE = lib.IMAGE_FD_PIPE
    EVENT = lib.IMAGE_FD_EVENT
    EPOLL = lib.IMAGE_FD_EPOLL
    TIMER = lib.IMAGE_FD_TIMER
    SIGNAL = lib.IMAGE_FD_SIGNAL
    INHERITED = lib.IMAGE_FD_INHERITED
    LISTENING = lib.IMAGE_FD_LISTENING
    MEMORY = lib.IMAGE_FD_MEMORY


@dataclass(frozen=True, slots=True)
class File:
    """A file by name; `is_fixed`: it must be as it was when the image is restored."""

    name: str
    mode: int
    bytes: int
    modified_ns: int
    device_number: int
    is_fixed: bool


@dataclass(frozen=True, slots=True)
class Vma:
    """A mapping, and which of the image's runs are its pages."""

    start: int
    end: int
    protection: int
    kind: VmaKind
    flags: VmaFlag
    file: File | None = None
    file_offset: int = 0
    first_run: int = 0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open descriptor. same_as: the number of an earlier one that shares its open file."""

    number: int
    kind: FdKind
    open_flags: int
    descriptor_flags: int
    same_as: int | None = None
    file: File | None = None
    position: int = 0
    object: int = 0
    value: int = 0
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class Setting:
    """Of a timer: nanoseconds until it expires (0: never), and from then on."""

    value_ns: int
    interval_ns: int


@dataclass(frozen=True, slots=True)
class PosixTimer:
    """A timer of timer_create(2)."""

    id: int
    clock: int
    notify: int
    signal: int
    value: int
    thread: int
    setting: Setting


@dataclass(frozen=True, slots=True)
class Action:
    """What a signal does: struct kernel_sigaction."""

    handler: int = 0
    flags: int = 0
    restorer: int = 0
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread; tids are those of its own PID namespace."""

    tid: int
    comm: bytes
    registers: tuple[int, ...]
    xstate: bytes
    pending: tuple[bytes, ...]
    signal_mask: int
    clear_child_tid: int
    robust_list: int
    robust_bytes: int
    rseq: int
    rseq_bytes: int
    rseq_signature: int
    stack_pointer: int
    stack_bytes: int
    stack_flags: int
    nice: int
    policy: int
    priority: int


@dataclass(frozen=True, slots=True)
class Process:
    """What all threads share."""

    pid: int
    is_group_leader: bool
    is_session_leader: bool
    umask: int
    personality: int
    dumpable: int
    no_new_privs: bool
    is_subreaper: bool
    thp_disabled: bool
    oom_score_adj: int
    timer_slack_ns: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    capabilities: tuple[int, ...]
    securebits: int
    mm: tuple[int, ...]
    executable: File
    cwd: str
    itimers: tuple[Setting, ...]
    limits: tuple[tuple[int, int], ...]
    actions: tuple[Action, ...]
    groups: tuple[int, ...]
    auxv: bytes
    pending: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host was like, and its clocks as the process saw them."""

    created_ns: int
    monotonic_ns: int
    boottime_ns: int
    kernel: str
    cpu_flags: str
    vdso_checksum: int
    xfeatures: int
