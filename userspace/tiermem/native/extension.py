"""What an extension module is made of: which headers Python sees, which C is compiled in.

Every `<name>_build.py` of this folder is one of these, called EXTENSION; build.py compiles it.
Paths are relative to the checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cffi

from tiermem.errors import TiermemError
from tiermem.native.cdef import declarations

NATIVE = "userspace/tiermem/native"
FLAGS = ("-std=gnu99", "-O2", "-flto", "-Wall", "-Wextra")


def native(*names: str) -> tuple[str, ...]:
    """Files of this folder."""
    return tuple(f"{NATIVE}/{name}" for name in names)


@dataclass(frozen=True)
class Extension:
    """The module `_<name>`.

    headers: declared to Python; code_headers: what only the compiler sees besides, system_headers
    before all. declared: what Python is to know that no header says, of the checkout. sources:
    files, or patterns of them.
    """

    name: str
    headers: tuple[str, ...]
    sources: tuple[str, ...] = ()
    code_headers: tuple[str, ...] = ()
    system_headers: tuple[str, ...] = ()
    declared: Callable[[Path], str] = lambda _root: ""
    folders: tuple[str, ...] = (NATIVE,)
    flags: tuple[str, ...] = FLAGS
    link_flags: tuple[str, ...] = ()

    def ffi(self, root: Path) -> cffi.FFI:
        """As cffi has it; `root` is the checkout. TiermemError for files that are wrong."""
        builder = cffi.FFI()
        headers = declarations([root / header for header in self.headers])
        builder.cdef(self.declared(root) + headers)
        includes = [f"#include <{name}>" for name in self.system_headers]
        includes += [f'#include "{Path(one).name}"' for one in (*self.headers, *self.code_headers)]
        builder.set_source(
            f"_{self.name}",
            "\n".join(includes),
            sources=[str(source) for source in self._sources(root)],
            include_dirs=[str(root / folder) for folder in self.folders],
            extra_compile_args=list(self.flags),
            extra_link_args=list(self.link_flags),
        )
        return builder

    def _sources(self, root: Path) -> Iterator[Path]:
        for pattern in self.sources:
            found = sorted(root.glob(pattern))
            if not found:
                raise TiermemError(f"_{self.name}: {pattern}: there is no such source")
            yield from found
