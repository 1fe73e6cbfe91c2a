"""What is in an image, as plain values: for `tiermem fork ls` and `inspect`, and the API."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Any

from tiermem.cxlfork.image import Image
from tiermem.cxlfork.records import Descriptor, FdKind, Thread, Vma
from tiermem.cxlfork.store import HeldImage
from tiermem.layer.nodes import PAGE_BYTES

_PROTECTIONS = ((mmap.PROT_READ, "r"), (mmap.PROT_WRITE, "w"), (mmap.PROT_EXEC, "x"))


def summary(held: HeldImage) -> dict[str, Any]:
    """One line of `ls`. command, threads and data_bytes are None until it was checked."""
    entry, image = held.entry, held.image
    return {
        "name": held.name,
        "host": entry.extent.host,
        "bytes": entry.bytes,
        "data_bytes": None if image is None else image.stored_pages * PAGE_BYTES,
        "command": None if image is None else _name(image.threads[0]),
        "threads": None if image is None else len(image.threads),
        "state": held.check.value,
        "trouble": held.trouble,
        "created_ns": entry.created_ns,
    }


def _name(thread: Thread) -> str:
    return thread.comm.rstrip(b"\0").decode(errors="replace")


def describe(held: HeldImage) -> dict[str, Any]:
    """All of `inspect`; the image must have been checked."""
    image = held.make_ready()
    accessed, dirty = image.bits("accessed"), image.bits("dirty")
    return {
        **summary(held),
        "checked_ms": held.checked_ns / 1e6,
        "process": {
            "pid": image.process.pid,
            "executable": image.process.executable.name,
            "cwd": image.process.cwd,
            "uids": list(image.process.uids),
            "gids": list(image.process.gids),
        },
        "host_needs": {
            "kernel": image.host.kernel,
            "vdso_checksum": f"{image.host.vdso_checksum:08x}",
            "cpu_flags": image.host.cpu_flags,
        },
        "threads_by_tid": {one.tid: _name(one) for one in image.threads},
        "pages": {
            "stored": image.stored_pages,
            "runs": len(image.runs),
            "accessed": int(accessed.sum()) if len(accessed) else None,
            "dirty": int(dirty.sum()) if len(dirty) else None,
        },
        "memory": _memory(image),
        "descriptors": [_descriptor(one) for one in image.descriptors],
        "timers": len(image.timers) + sum(one.value_ns > 0 for one in image.process.itimers),
    }


def _memory(image: Image) -> list[dict[str, Any]]:
    pages = image.runs[:, 1]
    return [_mapping(vma, pages[vma.first_run : vma.first_run + vma.runs]) for vma in image.vmas]


def _mapping(vma: Vma, pages_of_runs: Iterable[int]) -> dict[str, Any]:
    return {
        "start": vma.start,
        "bytes": vma.end - vma.start,
        "protection": "".join(
            letter if vma.protection & bit else "-" for bit, letter in _PROTECTIONS
        ),
        "kind": vma.kind.name.lower(),
        "file": None if vma.file is None else vma.file.name,
        "stored_bytes": int(sum(pages_of_runs)) * PAGE_BYTES,
    }


def _descriptor(one: Descriptor) -> dict[str, Any]:
    return {
        "number": one.number,
        "kind": one.kind.name.lower(),
        "same_as": one.same_as,
        "file": None if one.file is None else one.file.name,
        "position": one.position if one.kind is FdKind.PATH else None,
    }
