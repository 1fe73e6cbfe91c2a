"""Build the extension modules: `python userspace/tiermem/native/build.py [--out DIR]`.

`EXTENSIONS` lists them; `<name>_build.py` beside this file describes each
(extension.py). The restorer, a program, is built with them (restorer_build.py).
What is built is built again only when something that goes into it changed, by
content. The compiler is called directly, so that Python's headers, cffi and gcc
are all that is needed (the testbed's guest has no setuptools).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NATIVE = Path(__file__).resolve().parent
USERSPACE = NATIVE.parents[1]
ROOT = NATIVE.parents[2]

if str(USERSPACE) not in sys.path:
    sys.path.insert(0, str(USERSPACE))

from tiermem.errors import TiermemError  # noqa: E402
from tiermem.native.compiler import compile_c, compiler_version  # noqa: E402
from tiermem.native.extension import Extension  # noqa: E402
from tiermem.native.restorer_build import restorer  # noqa: E402

EXTENSIONS = (
    "uapi",
    "syscalls",
    "models",
    "heat",
    "pool",
    "pool_model",
    "fork",
    "channel",
    "channel_model",
    "channel_ladder",
    "allocator",
    "arena",
    "kv",
    "row_model",
    "net",
    "net_load",
    "storage",
    "storage_load",
    "vmem",
    "prefill_attention",
)
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
BASE_FLAGS = ("-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden")


class Target(Protocol):
    """What can be built: an extension, or a program."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def file(self) -> Path:
        """Where it lies in the folder of what is built."""

    def digest(self) -> str:
        """Of all that goes into it."""

    def compile(self, folder: Path) -> Path:
        """Make it in a folder of its own; TiermemError with the compiler's messages."""


@dataclass(frozen=True)
class Unit:
    """One extension, ready to compile: generated C, further sources, flags."""

    name: str
    generated: str
    sources: tuple[Path, ...]
    include_dirs: tuple[Path, ...]
    compile_args: tuple[str, ...]
    link_args: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 over everything that goes into the result."""
        seen = hashlib.sha256()
        for part in (self.generated, *self.compile_args, *self.link_args, *BASE_FLAGS):
            seen.update(part.encode() + b"\0")
        seen.update(f"{sys.version}{SUFFIX}{compiler_version()}".encode())
        headers = [h for folder in self.include_dirs for h in sorted(folder.glob("*.h"))]
        for path in (*self.sources, *headers):
            seen.update(str(path.name).encode() + b"\0" + path.read_bytes())
        return seen.hexdigest()

    @property
    def file(self) -> Path:
        """The module's file."""
        return Path(f"{self.name}{SUFFIX}")

    def compile(self, folder: Path) -> Path:
        """The module, made in `folder`."""
        generated, target = folder / f"{self.name}.c", folder / self.file
        generated.write_text(self.generated)
        includes = [sysconfig.get_path("include"), *map(str, self.include_dirs)]
        arguments = [
            *BASE_FLAGS,
            *self.compile_args,
            *(f"-I{include}" for include in includes),
            str(generated),
            *map(str, self.sources),
            "-o",
            str(target),
            *self.link_args,
        ]
        compile_c(self.name, arguments)
        return target


def load_unit(name: str) -> Unit:
    """The extension `_<name>`, described by `<name>_build.py`."""
    extension: Extension = importlib.import_module(f"tiermem.native.{name}_build").EXTENSION
    ffi = extension.ffi(ROOT)
    # cffi has no public way to ask for these without setuptools.
    module, _, _, keywords = ffi._assigned_source
    # cffi announces on stdout what it generates.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        generated = Path(folder) / f"{module}.c"
        ffi.emit_c_code(str(generated))
        text = generated.read_text()
    return Unit(
        name=module,
        generated=text,
        sources=tuple(Path(source) for source in keywords.get("sources", [])),
        include_dirs=tuple(Path(folder) for folder in keywords.get("include_dirs", [])),
        compile_args=tuple(keywords.get("extra_compile_args", [])),
        link_args=tuple(keywords.get("extra_link_args", [])),
    )


def load_targets() -> Iterator[Target]:
    """All that is built."""
    yield from map(load_unit, EXTENSIONS)
    yield restorer(NATIVE)


def build(unit: Target, out: Path, work: Path) -> bool:
    """Bring `unit` up to date in `out`; returns whether it had to be compiled.

    Raises TiermemError with the compiler's messages. Safe to run twice at once:
    the result and its stamp are put in place by renaming.
    """
    target = out / unit.file
    stamp = work / f"{target.name}.sha256"
    digest = unit.digest()
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        compiled = unit.compile(Path(folder))
        # Across file systems there is no rename; beside the target there is.
        beside = target.parent / f".{target.name}.{os.getpid()}"
        beside.write_bytes(compiled.read_bytes())
        beside.chmod(0o755)
        beside.replace(target)
        fresh_stamp = Path(folder) / "stamp"
        fresh_stamp.write_text(digest)
        fresh_stamp.replace(stamp)
    return True


def main() -> int:
    """Build all; prints one line for each."""
    parser = argparse.ArgumentParser(description="Build tiermem's extension modules.")
    parser.add_argument("--out", type=Path, help="where they go (default: beside this file)")
    out: Path | None = parser.parse_args().out
    work = ROOT / "build" / "native" if out is None else out / ".build"
    try:
        for unit in load_targets():
            compiled = build(unit, NATIVE if out is None else out, work)
            print(f"{unit.name}: {'built' if compiled else 'up to date'}")
    except TiermemError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
