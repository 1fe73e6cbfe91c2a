"""The C compiler, as all that is built here calls it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from tiermem.errors import MissingError, TiermemError


def compiler() -> list[str]:
    """The command: what CC says, or `cc`."""
    return shlex.split(os.environ.get("CC", "cc"))


def compiler_version() -> str:
    """Its first line; MissingError where there is none."""
    done = _run([*compiler(), "--version"])
    return done.stdout.splitlines()[0] if done.stdout else ""


def compile_c(name: str, arguments: Sequence[str]) -> None:
    """Compile `name`; TiermemError with the compiler's messages."""
    done = _run([*compiler(), *arguments])
    if done.returncode != 0:
        raise TiermemError(f"{name}: does not compile:\n{done.stderr.strip()}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingError(f"no C compiler: {command[0]} not found; install gcc") from None
