"""Build the extension modules: `python userspace/tiermem/native/build.py [--out DIR]`.

`EXTENSIONS` lists them; `<name>_build.py` beside this file exposes
`ffi(root) -> cffi.FFI` with its source set. An extension is built again only
when something that goes into it changed, by content. The compiler is called
directly, so that Python's headers, cffi and gcc are all that is needed (the
testbed's guest has no setuptools).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
USERSPACE = NATIVE.parents[1]
ROOT = NATIVE.parents[2]

if str(USERSPACE) not in sys.path:
    sys.path.insert(0, str(USERSPACE))

from tiermem.errors import MissingError, TiermemError  # noqa: E402

EXTENSIONS = ("uapi", "syscalls", "models", "heat", "pool", "pool_model", "fork")
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
BASE_FLAGS = ("-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden")


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
        seen.update(f"{sys.version}{SUFFIX}{_compiler_version()}".encode())
        headers = [h for folder in self.include_dirs for h in sorted(folder.glob("*.h"))]
        for path in (*self.sources, *headers):
            seen.update(str(path.name).encode() + b"\0" + path.read_bytes())
        return seen.hexdigest()


def load_unit(name: str) -> Unit:
    """The extension `_<name>`, described by `<name>_build.py`."""
    ffi = importlib.import_module(f"tiermem.native.{name}_build").ffi(ROOT)
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


def build(unit: Unit, out: Path, work: Path) -> bool:
    """Bring `out/<unit>` up to date; returns whether it had to be compiled.

    Raises TiermemError with the compiler's messages. Safe to run twice at once:
    the result and its stamp are put in place by renaming.
    """
    target = out / f"{unit.name}{SUFFIX}"
    stamp = work / f"{target.name}.sha256"
    digest = unit.digest()
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return False
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        generated = Path(folder) / f"{unit.name}.c"
        generated.write_text(unit.generated)
        compiled = Path(folder) / target.name
        _compile(unit, generated, compiled)
        # Across file systems there is no rename; beside the target there is.
        beside = out / f".{target.name}.{os.getpid()}"
        beside.write_bytes(compiled.read_bytes())
        beside.chmod(0o755)
        beside.replace(target)
        fresh_stamp = Path(folder) / "stamp"
        fresh_stamp.write_text(digest)
        fresh_stamp.replace(stamp)
    return True


def _compile(unit: Unit, generated: Path, target: Path) -> None:
    includes = [sysconfig.get_path("include"), *map(str, unit.include_dirs)]
    command = [
        *_compiler(),
        *BASE_FLAGS,
        *unit.compile_args,
        *(f"-I{folder}" for folder in includes),
        str(generated),
        *map(str, unit.sources),
        "-o",
        str(target),
        *unit.link_args,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingError(f"no C compiler: {command[0]} not found; install gcc") from None
    if done.returncode != 0:
        raise TiermemError(f"{unit.name}: does not compile:\n{done.stderr.strip()}")


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc"))


def _compiler_version() -> str:
    try:
        done = subprocess.run([*_compiler(), "--version"], capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingError(f"no C compiler: {_compiler()[0]} not found; install gcc") from None
    return done.stdout.splitlines()[0] if done.stdout else ""


def main() -> int:
    """Build all; prints one line an extension."""
    parser = argparse.ArgumentParser(description="Build tiermem's extension modules.")
    parser.add_argument("--out", type=Path, help="where they go (default: beside this file)")
    out: Path | None = parser.parse_args().out
    work = ROOT / "build" / "native" if out is None else out / ".build"
    try:
        for name in EXTENSIONS:
            unit = load_unit(name)
            compiled = build(unit, NATIVE if out is None else out, work)
            print(f"{unit.name}: {'built' if compiled else 'up to date'}")
    except TiermemError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
