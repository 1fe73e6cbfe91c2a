"""Finding a QEMU that maps CXL memory directly, and starting it so that it dies with us."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tiermem.errors import MissingError
from tiermem.testbed.debian import qemu_root
from tiermem.testbed.errors import BootError
from tiermem.testbed.progress import Progress

# Older ones treat CXL memory as device registers, some hundred times slower. Newer ones may
# speak another plugin interface than the hardware model is compiled for.
MAJOR_VERSION = 11


@dataclasses.dataclass(frozen=True)
class Qemu:
    """How to run QEMU: the words of its command, its extra environment, its version."""

    command: tuple[str, ...]
    environment: dict[str, str]
    version: tuple[int, int]


def find_qemu(progress: Progress) -> Qemu:
    """The host's QEMU if it is the version we know, else one from a Debian root of its own."""
    host = shutil.which("qemu-system-x86_64")
    if host is not None:
        qemu = _described((host,), {})
        if qemu.version[0] == MAJOR_VERSION:
            return qemu
    return qemu_in_root(qemu_root(progress))


def qemu_in_root(root: Path) -> Qemu:
    """QEMU of a Debian root, run by that root's loader: no chroot and no rights needed."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = (
        str(root / "usr/lib64/ld-linux-x86-64.so.2"),
        *("--library-path", str(libraries)),
        str(root / "usr/bin/qemu-system-x86_64"),
        *("-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")),
    )
    return _described(command, {"QEMU_MODULE_DIR": str(libraries / "qemu")})


def _described(command: tuple[str, ...], environment: dict[str, str]) -> Qemu:
    result = subprocess.run([*command, "--version"], capture_output=True, text=True)
    match = re.search(r"version (\d+)\.(\d+)", result.stdout)
    if match is None:
        said = (result.stderr or result.stdout).strip()
        raise MissingError(f"{command[0]} does not run or tells no version: {said}")
    return Qemu(command, environment, (int(match[1]), int(match[2])))


def start(qemu: Qemu, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start QEMU. The kernel kills it when the thread that calls this ends, however it ends."""
    if shutil.which("setpriv") is None:
        raise MissingError("setpriv is missing: install the package util-linux")
    command = ["setpriv", "--pdeathsig", "KILL", "--", *qemu.command, *arguments]
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **qemu.environment},
                start_new_session=True,
            )
    except OSError as error:
        raise BootError(f"cannot start QEMU: {error}") from error
