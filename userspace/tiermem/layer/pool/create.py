"""Making a pool, once, before any host opens it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.layer.pool.directory import Directory, format_pool
from tiermem.layer.pool.leases import LEASE_S
from tiermem.layer.pool.mapping import Mapping, is_device, make_file

DEFAULT_HOSTS = 4
DEFAULT_ENTRIES = 1024


def create_pool(
    path: Path,
    *,
    hosts: int = DEFAULT_HOSTS,
    entries: int = DEFAULT_ENTRIES,
    size: int | None = None,
    lease_s: float = LEASE_S,
    force: bool = False,
) -> UUID:
    """Make a pool of a devdax device, or of a file of `size` bytes that need not exist.

    lease_s: a host that is silent for so long is dead for all others.

    TiermemError where there is a pool already, unless `force`; NoSpaceError where it is
    too small; KernelError where the disk is full.
    """
    is_new = not path.exists()
    if is_new:
        if size is None:
            raise MissingError(f"{path}: is not there; give a size, to make it a file")
        make_file(path, size)
    elif size is not None and (is_device(path) or path.stat().st_size != size):
        raise TiermemError(f"{path}: is there already, with a size of its own")
    try:
        mapping = Mapping(path)
        try:
            if not force and not is_new and _holds_pool(mapping):
                raise TiermemError(f"{path}: holds a pool already; --force makes it anew")
            uuid = uuid4()
            format_pool(mapping, hosts, entries, uuid, lease_s)
        finally:
            mapping.close()
    except TiermemError:
        if is_new:
            path.unlink()
        raise
    return uuid


def _holds_pool(mapping: Mapping) -> bool:
    try:
        Directory(mapping, None)
    except MissingError:
        return False
    except DamagedError:
        return True
    return True
