"""The only place that knows bcc: compile, attach, read maps, detach.

Quirks of bcc kept here:
- It is a package of the distribution, not on PyPI, and importing it costs a
  second: it is imported when a program is loaded, and from the distribution's
  folder where tiermem runs in an environment of its own (bcc is plain Python
  over ctypes and works with any version).
- It compiles against the headers of the running kernel, parses all that is
  included three times (so the programs include next to nothing), and writes clang's and
  the verifier's complaints to file descriptor 2; they are caught and end up in
  the error.
- Kernels from 6.19 on need -fms-extensions, and warn a lot.
- A tracepoint's generated struct does not compile where it holds an enum that
  is only declared (migrate:mm_migrate_pages on 7.x): raw tracepoints are used.
- Its kretprobes follow 2 returns a CPU at a time unless told otherwise; the
  functions watched here sleep.
- Values of per-CPU maps come as ctypes arrays; they go to numpy as bytes.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiermem.errors import MissingError, TiermemError
from tiermem.probes.hooks import Hook, HookKind

RETURNS_IN_FLIGHT = 1024
COMPILER_FLAGS = (
    "-fms-extensions",
    "-Wno-microsoft-anon-tag",
    "-Wno-macro-redefined",
    "-Wno-duplicate-decl-specifier",
    "-Wno-address-of-packed-member",
)
DISTRIBUTION_PACKAGES = Path("/usr/lib/python3/dist-packages")
KERNEL_HEADERS_ARCHIVE = Path("/sys/kernel/kheaders.tar.xz")
INSTALLED_SOURCES = (Path("/usr/local/share/tiermem/ebpf"), Path("/usr/share/tiermem/ebpf"))

Result = TypeVar("Result")


class ProbeError(TiermemError):
    """The kernel or the compiler refused a probe."""


def find_sources() -> Path:
    """The folder of the *.bpf.c files: $TIERMEM_EBPF_PATH, the checkout's, or the installed one."""
    named = os.environ.get("TIERMEM_EBPF_PATH")
    checkout = Path(__file__).resolve().parents[3] / "ebpf"
    folders = (Path(named),) if named else (checkout, *INSTALLED_SOURCES)
    for folder in folders:
        if (folder / "latency.h").is_file():
            return folder
    searched = ", ".join(str(folder) for folder in folders)
    raise MissingError(f"the probes' sources are in none of {searched}; set TIERMEM_EBPF_PATH")


def check_host(probe: str) -> None:
    """MissingError, with what to do, where this process cannot load probes at all."""
    if os.geteuid() != 0:
        raise MissingError(f"probe {probe} needs root; run it with sudo")
    release = platform.release()
    build = Path("/lib/modules") / release / "build"
    if not build.exists() and not KERNEL_HEADERS_ARCHIVE.exists():
        raise MissingError(
            f"probe {probe} needs the headers of kernel {release}; "
            f"install the package linux-headers-{release}"
        )


def import_bcc() -> Any:
    """The bcc module. MissingError naming the package where it is absent."""
    sys.path.append(str(DISTRIBUTION_PACKAGES))
    try:
        return importlib.import_module("bcc")
    except ImportError as error:
        raise MissingError(
            "probes need bcc's Python module; install the package python3-bpfcc"
        ) from error
    finally:
        sys.path.remove(str(DISTRIBUTION_PACKAGES))


class Program:
    """One compiled file of ebpf/. Load it once: compiling takes seconds on a slow machine."""

    def __init__(self, source: Path, defines: Mapping[str, int]) -> None:
        self._bcc = import_bcc()
        self._name = source.name
        flags = [f"-I{source.parent}", *COMPILER_FLAGS]
        flags += [f"-D{name}={value}" for name, value in sorted(defines.items())]
        text = source.read_bytes()
        self._bpf = self._try("compile", lambda: self._bcc.BPF(text=text, cflags=flags))

    def attach(self, hook: Hook) -> None:
        """Run `hook.handler` at `hook.target` from now on. ProbeError where the kernel refuses."""
        what = f"attach to {hook.kind} {hook.target}"
        if hook.kind == HookKind.KPROBE:
            self._try(
                what, lambda: self._bpf.attach_kprobe(event=hook.target, fn_name=hook.handler)
            )
        elif hook.kind == HookKind.KRETPROBE:
            self._try(
                what,
                lambda: self._bpf.attach_kretprobe(
                    event=hook.target, fn_name=hook.handler, maxactive=RETURNS_IN_FLIGHT
                ),
            )
        else:
            name = hook.target.partition(":")[2]
            self._try(what, lambda: self._bpf.attach_raw_tracepoint(tp=name, fn_name=hook.handler))

    def detach(self, hook: Hook) -> None:
        """Undo `attach`."""
        if hook.kind == HookKind.KPROBE:
            self._bpf.detach_kprobe(event=hook.target, fn_name=hook.handler)
        elif hook.kind == HookKind.KRETPROBE:
            self._bpf.detach_kretprobe(event=hook.target, fn_name=hook.handler)
        else:
            self._bpf.detach_raw_tracepoint(tp=hook.target.partition(":")[2])

    def array(self, table: str, leaf: np.dtype[Any]) -> NDArray[Any]:
        """A per-CPU array, summed over CPUs: shape (rows,) of `leaf` (all fields uint64)."""
        rows = self._bpf[table]
        return np.stack([sum_over_cpus(bytes(rows[i]), leaf) for i in range(len(rows))])

    def entries(
        self, table: str, key: np.dtype[Any], leaf: np.dtype[Any]
    ) -> Iterator[tuple[np.void, np.void]]:
        """A hash: (key, value, that of a per-CPU hash summed over CPUs), in no order.

        A key may come twice where entries are deleted meanwhile.
        """
        for raw_key, raw_leaves in self._bpf[table].items():
            yield (
                np.frombuffer(bytes(raw_key), dtype=key)[0],
                sum_over_cpus(bytes(raw_leaves), leaf),
            )

    def put(self, table: str, key: int, *, overwrite: bool = True, **fields: int) -> None:
        """Store an entry whose value is a struct with `fields` (others 0)."""
        rows = self._bpf[table]
        slot = rows.Key(key)
        if not overwrite and slot in rows:
            return
        leaf = rows.Leaf()
        for name, value in fields.items():
            setattr(leaf, name, value)
        rows[slot] = leaf

    def close(self) -> None:
        """Detach everything; the maps are gone afterwards."""
        self._bpf.cleanup()

    def _try(self, what: str, step: Callable[[], Result]) -> Result:
        with captured_stderr() as complaints:
            try:
                return step()
            except Exception as error:  # bcc raises the bare class
                failure = error
        reason = reason_of(complaints()) or str(failure)
        raise ProbeError(f"{self._name}: cannot {what}: {reason}") from failure


def reason_of(complaints: str) -> str:
    """The lines of a compiler's or a verifier's output that say what is wrong.

    The compiler marks them; the verifier says it last, after a trace of the program.
    """
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if " error: " in line]
    trace = re.compile(r"(\d+|from \d+.*): |;|processed \d+ insns")
    return "; ".join(errors[:3] or [line for line in lines if not trace.match(line)][-2:])


def sum_over_cpus(leaves: bytes, leaf: np.dtype[Any]) -> np.void:
    """Add up the values that CPUs hold for one key; every word of `leaf` is a uint64."""
    words = np.frombuffer(leaves, dtype="<u8").reshape(-1, leaf.itemsize // 8)
    summed: np.void = words.sum(axis=0, dtype=np.uint64).view(leaf)[0]
    return summed


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Send file descriptor 2 to a file meanwhile; yields a function that reads it."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        text: list[str] = []
        try:
            yield lambda: text[0]
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            text.append(sink.read().decode(errors="replace"))
