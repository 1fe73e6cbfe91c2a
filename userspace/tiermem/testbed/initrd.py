"""A small initial ramdisk: busybox, the modules that reach the root disk, one script.

It is an uncompressed cpio archive, since under TCG decompressing costs more
than loading. Only the drivers of the testbed's own machine are in it.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path

from tiermem.testbed.errors import BuildError

# Part of the image's digest: to be raised when this module packs things differently.
VERSION = "1"

# 6.12's ext4 asks for crc32c by its algorithm's name, which no dependency shows.
ROOT_DISK_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
_NOT_IN_EVERY_KERNEL = {"crc32c_generic"}

INIT_SCRIPT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do
    /bin/busybox insmod /modules/$module
done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || exec /bin/busybox poweroff -f
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""

_DIRECTORY, _FILE = 0o040755, 0o100755


def write_initrd(root: Path, release: str, target: Path) -> None:
    """Write the ramdisk of kernel `release`, with files from the Debian root."""
    modules = list(module_files(root / "usr/lib/modules" / release, ROOT_DISK_MODULES))
    entries = [(name, _DIRECTORY, b"") for name in ("bin", "dev", "modules", "root")]
    entries.append(("bin/busybox", _FILE, (root / "usr/bin/busybox").read_bytes()))
    names = []
    for file in modules:
        name = file.name.removesuffix(".xz")
        names.append(name)
        entries.append((f"modules/{name}", _FILE, _uncompressed(file)))
    entries.append(("init", _FILE, INIT_SCRIPT.format(modules=" ".join(names)).encode()))
    target.write_bytes(b"".join(_cpio(entries)))


def module_files(folder: Path, wanted: Iterable[str]) -> Iterator[Path]:
    """Files of the wanted modules and of all they need, each after its needs.

    folder: /usr/lib/modules/RELEASE. A module built into the kernel is skipped.
    """
    needs: dict[str, tuple[str, list[str]]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[_module_name(path)] = (path, [_module_name(need) for need in rest.split()])
    builtin = {_module_name(p) for p in (folder / "modules.builtin").read_text().splitlines()}
    seen: set[str] = set()

    def visit(name: str) -> Iterator[Path]:
        if name in seen or name in builtin:
            return
        if name not in needs and name in _NOT_IN_EVERY_KERNEL:
            return
        if name not in needs:
            raise BuildError(f"kernel module {name} is not in {folder}")
        seen.add(name)
        path, needed = needs[name]
        for need in needed:
            yield from visit(need)
        yield folder / path

    for name in wanted:
        yield from visit(name)


def _module_name(path: str) -> str:
    return Path(path).name.split(".")[0].replace("-", "_")


def _uncompressed(file: Path) -> bytes:
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data


def _cpio(entries: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """The "newc" format: text headers, names and data padded to four bytes."""
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        yield header + b"\0" * (-len(header) % 4)
        yield data + b"\0" * (-len(data) % 4)
