"""The restorer, a program without a C library that runs at any address: `restorer/`."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import MissingError, TiermemError
from tiermem.native.compiler import compile_c, compiler_version

FILE = Path("restorer") / "tiermem-restorer"
"""Where it lies in a folder of built natives."""

FLAGS = (
    "-std=gnu99",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fPIE",
    "-ffreestanding",
    "-fvisibility=hidden",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-nostdlib",
    "-static-pie",
    "-Wl,--build-id=none,--no-undefined,-z,norelro,-z,noseparate-code,-z,noexecstack",
)


@dataclass(frozen=True)
class Program:
    """A program to be built by build.py."""

    name: str
    file: Path
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    flags: tuple[str, ...] = FLAGS

    def digest(self) -> str:
        """SHA-256 over everything that goes into the result."""
        seen = hashlib.sha256("\0".join((*self.flags, compiler_version())).encode())
        for path in (*self.sources, *self.headers):
            seen.update(path.name.encode() + b"\0" + path.read_bytes())
        return seen.hexdigest()

    def compile(self, folder: Path) -> Path:
        """The program, made in `folder`."""
        target = folder / self.file.name
        compile_c(self.name, [*self.flags, *map(str, self.sources), "-o", str(target)])
        check_runs_anywhere(target)
        return target


def restorer(native: Path) -> Program:
    """The restorer of the sources beside this file."""
    folder = native / "restorer"
    shared = (native / "fork_image.h", native / "restore_protocol.h")
    return Program(
        name="restorer",
        file=FILE,
        sources=tuple(sorted(folder.glob("*.c"))),
        headers=(*sorted(folder.glob("*.h")), *shared),
    )


def check_runs_anywhere(program: Path) -> None:
    """TiermemError for a program that a copy of its code elsewhere would not do for: one
    with relocations, or with data of its own."""
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["readelf", "--wide", "--relocs", "--section-headers", str(program)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise MissingError("readelf not found; install binutils") from None
    if "There are no relocations in this file." not in done.stdout:
        raise TiermemError(f"{program.name}: has relocations:\n{done.stdout}")
    writable = [line for line in done.stdout.splitlines() if " WA " in line]
    if [line for line in writable if " .dynamic " not in line]:
        raise TiermemError(f"{program.name}: has data that is written to:\n" + "\n".join(writable))
