"""Making arenas: of a tier's memory, for one process; in a pool, for several hosts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tiermem.errors import ConfigError, TiermemError
from tiermem.layer.arena.arena import ALIGN_BYTES, Arena
from tiermem.layer.arena.choice import TierChoice, choose_nodes
from tiermem.layer.arena.emulation import Emulation
from tiermem.layer.arena.huge import HUGE_BYTES
from tiermem.layer.arena.memory import AreaMemory, BoundMemory, Memory
from tiermem.layer.arena.registry import (
    Description,
    EmulatedFigures,
    Registration,
    SharedPlace,
)
from tiermem.layer.arena.space import Space
from tiermem.layer.nodes import read_nodes
from tiermem.layer.pool import Area, Pool
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_tiers

_NAME_MAX = 64


def create_arena(
    name: str,
    size_bytes: int,
    *,
    tier: TierChoice | None = None,
    nodes: Collection[int] | None = None,
    emulation: Emulation | None = None,
    tree: Tree | None = None,
    run_dir: Path | None = None,
) -> Arena:
    """Memory of a tier (its place, "fastest" or "slowest") or of nodes by number, all of it
    touched; the fastest tier's unless said. name: for lists, need not be the only one.

    NoSpaceError where there is no room for it: nothing is taken then.
    """
    _check(name, size_bytes)
    tree = tree or Tree()
    chosen = choose_nodes(read_nodes(tree), read_tiers(tree), tier, nodes)
    memory = BoundMemory(size_bytes, chosen.nodes, tree)
    described = Description(
        name=name,
        bytes=size_bytes,
        address=memory.address,
        tier=chosen.tier,
        tiers=chosen.tiers,
        nodes=chosen.nodes,
        emulated=_figures(emulation),
        shared=None,
    )
    return _register(memory, described, Space(size_bytes, HUGE_BYTES), emulation, run_dir)


def create_shared_arena(
    pool: Pool,
    name: str,
    size_bytes: int,
    *,
    emulation: Emulation | None = None,
    run_dir: Path | None = None,
) -> Arena:
    """An area of the pool under that name, of zeros, from which this process hands out buffers.

    Others of any host open it by name, and are told offset and bytes of each buffer. It is in
    the pool until `pool.remove`. NoSpaceError, NameTakenError.
    """
    _check(name, size_bytes)
    memory = AreaMemory(pool.create_area(name, size_bytes))
    align_max = min(HUGE_BYTES, memory.address & -memory.address)
    # Whole lines each: one that two buffers share would have two writers.
    space = Space(size_bytes, align_max, ALIGN_BYTES)
    described = _describe_shared(pool, name, memory, emulation)
    return _register(memory, described, space, emulation, run_dir)


def open_shared_arena(
    pool: Pool,
    name: str,
    *,
    emulation: Emulation | None = None,
    run_dir: Path | None = None,
) -> Arena:
    """One that another process made: its buffers by `Arena.at`. MissingError."""
    area: Area = pool.open_area(name)
    memory = AreaMemory(area)
    described = _describe_shared(pool, name, memory, emulation)
    return _register(memory, described, None, emulation, run_dir)


def _register(
    memory: Memory,
    described: Description,
    space: Space | None,
    emulation: Emulation | None,
    run_dir: Path | None,
) -> Arena:
    try:
        registration = Registration(described, run_dir)
    except BaseException:
        memory.close()
        raise
    return Arena(memory, described, registration, space, emulation)


def _describe_shared(
    pool: Pool, name: str, memory: AreaMemory, emulation: Emulation | None
) -> Description:
    host = pool.directory.host
    assert host is not None  # who only looks holds no area
    return Description(
        name=name,
        bytes=memory.bytes,
        address=memory.address,
        tier=None,
        tiers=0,
        nodes=(),
        emulated=_figures(emulation),
        shared=SharedPlace(pool=str(pool.path), area=name, host=host),
    )


def _figures(emulation: Emulation | None) -> EmulatedFigures | None:
    if emulation is None:
        return None
    return EmulatedFigures(bandwidth_Bps=emulation.bandwidth_Bps, latency_ns=emulation.latency_ns)


def _check(name: str, size_bytes: int) -> None:
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable():
        raise ConfigError(f"arena {name!r}: a name has 1 to {_NAME_MAX} printable characters")
    if size_bytes < 1:
        raise TiermemError(f"arena {name!r} of {size_bytes} bytes: at least 1 is needed")
