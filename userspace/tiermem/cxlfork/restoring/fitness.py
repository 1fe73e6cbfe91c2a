"""Whether a host can go on with a process of another: its CPU, its kernel, its files.

All is looked at before anything is begun; MissingError names what is not as it was.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path

from tiermem.cxlfork.checksum import crc32c
from tiermem.cxlfork.image import Image
from tiermem.cxlfork.records import File, VmaKind
from tiermem.errors import MissingError
from tiermem.layer.processor import processor_flags
from tiermem.native._fork import lib

RESTORER_PID = 1
PID_MAX = Path("/proc/sys/kernel/pid_max")


def check_host(image: Image) -> None:
    """Of the host itself, which stays as it is: once for an image is enough."""
    facts = image.host
    what = f"image {image.name!r}"
    missing = set(facts.cpu_flags.split()).difference(processor_flags())
    if missing:
        raise MissingError(
            f"{what}: was made on a CPU with {', '.join(sorted(missing))}, which this one lacks"
        )
    lacking = facts.xfeatures & ~int(lib.host_cpu_xfeatures())
    if lacking:
        raise MissingError(
            f"{what}: has CPU state that this host does not keep (XCR0 bits {lacking:#x})"
        )
    has_vdso = any(vma.kind is VmaKind.VDSO for vma in image.vmas)
    if has_vdso and facts.vdso_checksum != _vdso_checksum():
        raise MissingError(
            f"{what}: was made under kernel {facts.kernel}, and this one's vdso "
            f"({os.uname().release}) is another: restore it on a host with the same kernel"
        )
    _check_pids(what, [thread.tid for thread in image.threads])


def _check_pids(what: str, pids: list[int]) -> None:
    if RESTORER_PID in pids:
        raise MissingError(f"{what}: its process was pid 1, which is the restorer's")
    limit = int(PID_MAX.read_text())
    if max(pids) >= limit:
        raise MissingError(
            f"{what}: has a thread of number {max(pids)}, and numbers here end below {limit}: "
            f"raise kernel.pid_max (sysctl)"
        )


def check_files(image: Image) -> None:
    """Of files and folders, which may change from one restore to the next."""
    wrong = [trouble for file in image.files if (trouble := _trouble(file))]
    folder = image.process.cwd
    if not Path(folder).is_dir():
        wrong.append(f"its working folder {folder} is not there")
    if wrong:
        raise MissingError(f"image {image.name!r} cannot be restored here: {'; '.join(wrong)}")


def _trouble(file: File) -> str | None:
    if not file.name.startswith("/"):
        return None
    try:
        found = os.stat(file.name)  # noqa: PTH116 - for each restore, of each library
    except OSError as error:
        return f"{file.name}: {error.strerror}"
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(file.mode):
        return f"{file.name} is of another kind than it was"
    if file.device_number and found.st_rdev != file.device_number:
        return f"{file.name} is another device than it was"
    return _change(file, found) if file.is_fixed else None


def _change(file: File, found: os.stat_result) -> str | None:
    if found.st_size != file.bytes:
        return f"{file.name} has {found.st_size} bytes and had {file.bytes}"
    if found.st_mtime_ns != file.modified_ns:
        return f"{file.name} was modified since"
    return None


@cache
def _vdso_checksum() -> int:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            start, end = (int(address, 16) for address in line.split()[0].split("-"))
            with Path("/proc/self/mem").open("rb", buffering=0) as memory:
                memory.seek(start)
                return crc32c(memory.read(end - start))
    return 0
