"""Whether this host can give the KV tiers what their settings say, before an engine starts.

Nothing is taken, made or changed. What keeps the plugin from starting is raised as it would
be by the plugin; what only makes less of it is a remark.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import ConfigError, MissingError, NoRightError, NoSpaceError, TiermemError
from tiermem.layer.arena.choice import check_allowed, choose_nodes
from tiermem.layer.arena.registry import Description, EmulatedFigures
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.nodes import read_nodes
from tiermem.layer.pool import open_pool
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_tiers
from tiermem.service.size import size_text
from tiermem.serving.kv.disk_file import is_foreign
from tiermem.serving.kv.settings import KvSettings, MemorySettings, PoolSettings, SsdSettings


@dataclass(frozen=True)
class Remark:
    """What was seen of a tier. is_well: nothing has to be done about it."""

    tier: str
    text: str
    is_well: bool = True


def check_host(settings: KvSettings, tree: Tree | None = None) -> list[Remark]:
    """Remarks on each tier. TiermemError where the plugin would not start with it."""
    tree = tree or Tree()
    remarks = list(_check_memory("memory", settings.memory, tree))
    if settings.cxl is not None:
        is_shared = _nodes_of(settings.memory, tree) <= _nodes_of(settings.cxl, tree)
        taken = int(settings.memory.capacity) if is_shared else 0
        remarks += _check_memory("cxl", settings.cxl, tree, taken_bytes=taken)
    if settings.pool is not None:
        remarks += _check_pool(settings.pool)
    if settings.ssd is not None:
        remarks += _check_ssd(settings.ssd)
    return remarks


def _nodes_of(memory: MemorySettings, tree: Tree) -> set[int]:
    return set(choose_nodes(read_nodes(tree), read_tiers(tree), memory.tier, memory.nodes).nodes)


def _check_memory(
    name: str, memory: MemorySettings, tree: Tree, *, taken_bytes: int = 0
) -> Iterator[Remark]:
    chosen = choose_nodes(read_nodes(tree), read_tiers(tree), memory.tier, memory.nodes)
    check_allowed(chosen.nodes, tree)
    emulated = memory.emulated
    where = Description(
        name="kv",
        bytes=int(memory.capacity),
        address=0,
        tier=chosen.tier,
        tiers=chosen.tiers,
        nodes=chosen.nodes,
        emulated=EmulatedFigures(**emulated.model_dump()) if emulated else None,
        shared=None,
    ).where
    room = room_bytes(chosen.nodes, tree) - taken_bytes
    if room < memory.capacity:
        raise NoSpaceError(
            f"{name}.capacity = {size_text(int(memory.capacity))}: {where} can give "
            f"{size_text(room)} now"
        )
    yield Remark(
        name, f"{size_text(int(memory.capacity))} of {where}, which can give {size_text(room)}"
    )
    if memory.tier == "slowest" and chosen.tiers == 1:
        yield Remark(name, "this host has one tier only: its slowest is its fastest", is_well=False)


def _check_pool(pool: PoolSettings) -> Iterator[Remark]:
    opened = open_pool(pool.path)
    try:
        shape = opened.directory.shape
    finally:
        opened.close()
    if pool.host >= shape.hosts:
        raise TiermemError(f"{pool.path}: host {pool.host}: 0 to {shape.hosts - 1} is allowed")
    capacity = size_text(int(pool.capacity))
    yield Remark("pool", f"{capacity} of {pool.path} as host {pool.host} of {shape.hosts}")
    if pool.capacity > shape.share_bytes:
        share = size_text(shape.share_bytes)
        yield Remark(
            "pool", f"a host's share of {pool.path} is {share}: no more will be used", is_well=False
        )


def _check_ssd(ssd: SsdSettings) -> Iterator[Remark]:
    folder = ssd.path.parent
    if not folder.is_dir():
        raise MissingError(f"{ssd.path}: there is no folder {folder}: mkdir -p {folder}")
    size = _check_file(ssd.path)
    if size is None and not os.access(folder, os.W_OK | os.X_OK):
        raise NoRightError(f"{folder}: this user (number {os.geteuid()}) may not make files in it")
    state = (
        "will be made"
        if size is None
        else f"has {size_text(size)}; what fits the engine is used on, else it is started anew"
    )
    yield Remark("ssd", f"{size_text(int(ssd.capacity))} in {ssd.path}, which {state}")
    if not _has_direct_io(folder):
        yield Remark(
            "ssd",
            f"{folder}: its file system has no direct I/O: blocks also take page cache",
            is_well=False,
        )
    found = os.statvfs(folder)
    room = found.f_bavail * found.f_frsize + (size or 0)
    if room < ssd.capacity:
        yield Remark(
            "ssd",
            f"{folder}: has room for {size_text(room)} only: blocks that do not fit are not kept",
            is_well=False,
        )


def _check_file(path: Path) -> int | None:
    """Its bytes; None where it is not there. Errors where the plugin could not use it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder: a file in it is needed") from None
    except PermissionError:
        raise NoRightError(
            f"{path}: this user (number {os.geteuid()}) may not read and write it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{path}: is no ordinary file")
        if is_foreign(fd):
            raise ConfigError(f"{path}: is a file of something else: name another path")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{path}: another process has it open: each engine needs a file of its own"
            ) from None
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _has_direct_io(folder: Path) -> bool:
    """By a file without a name; True also where such files cannot be made."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        return True
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT, 0o600))
    except OSError:
        return False
    return True
