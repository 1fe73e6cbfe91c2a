"""What a restorer reports, as an error that says what failed and to which part."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Callable
from typing import Any

from tiermem.cxlfork.image import Image
from tiermem.cxlfork.records import FdKind
from tiermem.errors import KernelError, MissingError, TiermemError
from tiermem.native._fork import lib

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV)


def failure(image: Image, report: Any) -> TiermemError:
    """The error for a struct restore_report of a restore that has failed."""
    step, item, code = int(report.step), int(report.item), int(report.code)
    action = f"restore image {image.name!r}: {_describe(image, step, item)}"
    if step == lib.RESTORE_STEP_DIED:
        short = " (was memory short? the kernel's log says)" if code == signal.SIGKILL else ""
        return TiermemError(f"{action}, killed by {_signal_name(code)}{short}")
    if step == lib.RESTORE_STEP_CHANGED_FILE:
        return MissingError(f"{action}: was modified since")
    if step in (lib.RESTORE_STEP_FILE, lib.RESTORE_STEP_DESCRIPTOR, lib.RESTORE_STEP_FOLDER):
        if code in _NOT_HERE:
            return MissingError(str(KernelError(action, code)))
    elif step == lib.RESTORE_STEP_PROCESS and code == errno.EEXIST:
        return MissingError(f"{action}: that pid is taken")
    return KernelError(action, code)


def _describe(image: Image, step: int, item: int) -> str:
    describe = _STEPS.get(step)
    return describe(image, item) if describe else f"step {step}"


def _descriptor(image: Image, item: int) -> str:
    fd = image.descriptors[item]
    name = f" ({fd.file.name})" if fd.file else ""
    kind = "file" if fd.kind is FdKind.PATH else fd.kind.name.lower()
    return f"open descriptor {fd.number}, a {kind}{name}"


def _mapping(image: Image, item: int) -> str:
    vma = image.vmas[item]
    name = vma.file.name if vma.file else vma.kind.name.lower()
    return f"map {vma.start:#x}-{vma.end:#x} ({name})"


def _limit(_image: Image, item: int) -> str:
    names = {getattr(resource, name): name for name in dir(resource) if name.startswith("RLIMIT_")}
    names[resource.RLIMIT_NOFILE] = "RLIMIT_NOFILE"  # and not its older name
    return f"set the limit {names.get(item, item)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_STEPS: dict[int, Callable[[Image, int], str]] = {
    lib.RESTORE_STEP_PREPARE: lambda _image, _item: "mount /proc in a namespace of its own",
    lib.RESTORE_STEP_COMMAND: lambda _image, _item: "take the command (of another version?)",
    lib.RESTORE_STEP_POOL: lambda _image, _item: "map the pool",
    lib.RESTORE_STEP_PROCESS: lambda _image, item: f"begin process {item}",
    lib.RESTORE_STEP_PLACE: lambda _image, item: f"find {item} bytes of free address space",
    lib.RESTORE_STEP_DESCRIPTOR: _descriptor,
    lib.RESTORE_STEP_FILE: lambda image, item: f"open {image.files[item].name}",
    lib.RESTORE_STEP_CHANGED_FILE: lambda image, item: image.files[item].name,
    lib.RESTORE_STEP_MAPPING: _mapping,
    lib.RESTORE_STEP_LAZY_PAGES: lambda _image, _item: "serve pages by userfaultfd",
    lib.RESTORE_STEP_MEMORY_FIELDS: lambda _image, _item: "set where its heap and arguments are",
    lib.RESTORE_STEP_ACTION: lambda _image, item: f"set the action of {_signal_name(item)}",
    lib.RESTORE_STEP_SIGNAL: lambda _image, item: f"queue waiting signal {item}",
    lib.RESTORE_STEP_THREAD: lambda image, item: f"begin thread {image.threads[item].tid}",
    lib.RESTORE_STEP_THREAD_STATE: lambda image, item: f"set up thread {image.threads[item].tid}",
    lib.RESTORE_STEP_TIMER: lambda image, item: f"make timer {image.timers[item].id}",
    lib.RESTORE_STEP_ITIMER: lambda _image, item: f"set interval timer {item}",
    lib.RESTORE_STEP_LIMIT: _limit,
    lib.RESTORE_STEP_FOLDER: lambda image, _item: f"enter {image.process.cwd}",
    lib.RESTORE_STEP_ATTRIBUTE: lambda _image, _item: "set its attributes",
    lib.RESTORE_STEP_CREDENTIALS: lambda _image, _item: "set its users, groups and capabilities",
    lib.RESTORE_STEP_REGISTERS: (
        lambda image, item: f"set the registers of thread {image.threads[item].tid}"
    ),
    lib.RESTORE_STEP_DIED: lambda _image, _item: "it has ended half-made",
}
