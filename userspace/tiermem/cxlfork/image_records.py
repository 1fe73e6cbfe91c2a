"""Records to the structures of native/fork_image.h, and back."""

from __future__ import annotations

from typing import Any

from tiermem.cxlfork.records import (
    Action,
    Descriptor,
    File,
    HostFacts,
    PosixTimer,
    Process,
    Setting,
    Thread,
    Vma,
)
from tiermem.native._fork import ffi, lib

_SAME_FIELDS_OF_THREAD = (
    "tid",
    "signal_mask",
    "clear_child_tid",
    "robust_list",
    "robust_bytes",
    "rseq",
    "rseq_bytes",
    "rseq_signature",
    "stack_pointer",
    "stack_bytes",
    "stack_flags",
    "nice",
    "policy",
    "priority",
)
_SAME_FIELDS_OF_PROCESS = (
    "pid",
    "is_group_leader",
    "is_session_leader",
    "umask",
    "personality",
    "dumpable",
    "no_new_privs",
    "is_subreaper",
    "thp_disabled",
    "oom_score_adj",
    "timer_slack_ns",
    "securebits",
)
_ARRAYS_OF_PROCESS = ("uids", "gids", "capabilities", "mm")
_SAME_FIELDS_OF_TIMER = ("id", "clock", "notify", "signal", "value", "thread")


class Names:
    """Strings and files, each written once."""

    def __init__(self) -> None:
        self._strings = bytearray(1)
        self._at: dict[bytes, int] = {b"": 0}
        self._files: dict[File, int] = {}

    def string(self, text: str) -> int:
        """Where it is among the strings."""
        data = text.encode(errors="surrogateescape")
        if data not in self._at:
            self._at[data] = len(self._strings)
            self._strings += data + b"\0"
        return self._at[data]

    def file(self, file: File | None) -> int:
        """Its index among the paths; 0 for none."""
        return 0 if file is None else self._files.setdefault(file, len(self._files))

    def paths(self) -> Any:
        """struct image_path[]."""
        array = ffi.new("struct image_path[]", len(self._files))
        for into, file in zip(array, self._files, strict=True):
            into.name = self.string(file.name)
            into.mode, into.bytes = file.mode, file.bytes
            into.modified_ns, into.device_number = file.modified_ns, file.device_number
            into.is_fixed = file.is_fixed
        return array

    def strings(self) -> bytes:
        """All of them; after all else was named."""
        return bytes(self._strings)


def fill_header(header: Any, host: HostFacts, names: Names) -> None:
    """What it says of the host."""
    header.magic, header.version = lib.IMAGE_MAGIC, lib.IMAGE_VERSION
    header.created_ns = host.created_ns
    header.monotonic_ns, header.boottime_ns = host.monotonic_ns, host.boottime_ns
    header.kernel, header.cpu_flags = names.string(host.kernel), names.string(host.cpu_flags)
    header.vdso_checksum, header.xfeatures = host.vdso_checksum, host.xfeatures


def fill_process(into: Any, process: Process, names: Names) -> None:
    """struct image_process."""
    for name in _SAME_FIELDS_OF_PROCESS:
        setattr(into, name, getattr(process, name))
    for name in _ARRAYS_OF_PROCESS:
        for place, value in enumerate(getattr(process, name)):
            getattr(into, name)[place] = value
    into.executable, into.cwd = names.file(process.executable), names.string(process.cwd)
    for place, setting in enumerate(process.itimers):
        _fill_setting(into.itimers[place], setting)
    for place, (soft, hard) in enumerate(process.limits):
        into.limits[place].soft, into.limits[place].hard = soft, hard
    for place, action in enumerate(process.actions):
        for name in Action.__dataclass_fields__:
            setattr(into.actions[place], name, getattr(action, name))


def fill_thread(into: Any, thread: Thread, xstate_at: int, first_pending: int) -> None:
    """struct image_thread."""
    for name in _SAME_FIELDS_OF_THREAD:
        setattr(into, name, getattr(thread, name))
    into.comm = thread.comm[: lib.IMAGE_COMM_BYTES - 1]
    into.registers = thread.registers
    into.pending, into.first_pending = len(thread.pending), first_pending
    into.xstate_at = xstate_at


def fill_vma(into: Any, vma: Vma, names: Names) -> None:
    """struct image_vma."""
    into.start, into.end, into.protection = vma.start, vma.end, vma.protection
    into.kind, into.flags = vma.kind, vma.flags
    into.path, into.file_offset = names.file(vma.file), vma.file_offset
    into.first_run, into.runs = vma.first_run, vma.runs


def fill_fd(
    into: Any, fd: Descriptor, names: Names, place_of: dict[int, int], extra_at: int
) -> None:
    """struct image_fd."""
    into.number, into.kind = fd.number, fd.kind
    into.same_as = -1 if fd.same_as is None else place_of[fd.same_as]
    into.open_flags, into.descriptor_flags = fd.open_flags, fd.descriptor_flags
    into.path, into.position = names.file(fd.file), fd.position
    into.object, into.value = fd.object, fd.value
    into.extra.at, into.extra.count = extra_at, len(fd.extra)


def fill_timer(into: Any, timer: PosixTimer) -> None:
    """struct image_posix_timer."""
    for name in _SAME_FIELDS_OF_TIMER:
        setattr(into, name, getattr(timer, name))
    _fill_setting(into.setting, timer.setting)


def _fill_setting(into: Any, setting: Setting) -> None:
    into.value_ns, into.interval_ns = setting.value_ns, setting.interval_ns


def read_file(path: Any, name: str) -> File:
    """struct image_path."""
    return File(
        name=name,
        mode=path.mode,
        bytes=path.bytes,
        modified_ns=path.modified_ns,
        device_number=path.device_number,
        is_fixed=bool(path.is_fixed),
    )


def read_setting(setting: Any) -> Setting:
    """struct image_itimer."""
    return Setting(setting.value_ns, setting.interval_ns)


def read_timer(timer: Any) -> PosixTimer:
    """struct image_posix_timer."""
    fields = {name: getattr(timer, name) for name in _SAME_FIELDS_OF_TIMER}
    return PosixTimer(**fields, setting=read_setting(timer.setting))


def read_thread(thread: Any, xstate: bytes, pending: tuple[bytes, ...]) -> Thread:
    """struct image_thread."""
    fields = {name: getattr(thread, name) for name in _SAME_FIELDS_OF_THREAD}
    return Thread(
        **fields,
        comm=ffi.string(thread.comm),
        registers=tuple(thread.registers),
        xstate=xstate,
        pending=pending,
    )


def read_process(
    process: Any,
    *,
    executable: File,
    cwd: str,
    groups: Any,
    auxv: bytes,
    pending: tuple[bytes, ...],
) -> Process:
    """struct image_process, with what lies elsewhere."""
    fields: dict[str, Any] = {name: getattr(process, name) for name in _SAME_FIELDS_OF_PROCESS}
    for name in ("is_group_leader", "is_session_leader", "no_new_privs", "is_subreaper"):
        fields[name] = bool(fields[name])
    fields["thp_disabled"] = bool(fields["thp_disabled"])
    fields |= {name: tuple(getattr(process, name)) for name in _ARRAYS_OF_PROCESS}
    return Process(
        **fields,
        executable=executable,
        cwd=cwd,
        itimers=tuple(map(read_setting, process.itimers)),
        limits=tuple((limit.soft, limit.hard) for limit in process.limits),
        actions=tuple(Action(a.handler, a.flags, a.restorer, a.mask) for a in process.actions),
        groups=tuple(groups),
        auxv=auxv,
        pending=pending,
    )
