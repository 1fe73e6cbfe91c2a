"""What `tiermem doctor` looks at of serving: vLLM and its plugins, and what the KV tiers use."""

from __future__ import annotations

import os
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.arena.choice import choose_nodes
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.nodes import read_nodes
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_tiers
from tiermem.service.doctor import ServingFacts
from tiermem.serving.kv.transfers import Transfers
from tiermem.serving.schedulers.vllm_interface import WRITTEN_FOR
from tiermem.serving.vllm_probe import probe_plugins

_DISKS = (Path("/var/cache"), Path("/var/tmp"))


def has_vllm() -> bool:
    """Whether it is installed where tiermem is, without importing it."""
    return find_spec("vllm") is not None


def read_serving_facts(tree: Tree | None = None) -> ServingFacts | None:
    """None where there is no vLLM. Takes the seconds that vLLM takes to be imported."""
    if not has_vllm():
        return None
    name = next(iter(packages_distributions().get("vllm", ())), "vllm")
    found = _version(name)
    folder = next(one for one in (*_DISKS, Path("/")) if one.is_dir())
    disk = os.statvfs(folder)
    ring = Transfers(1)
    ring.close()
    return ServingFacts(
        distribution=name,
        version=found,
        written_for=WRITTEN_FOR,
        is_supported=found == WRITTEN_FOR or found.startswith(f"{WRITTEN_FOR}."),
        is_for_cpu="cpu" in name or "cpu" in found,
        plugin_troubles=probe_plugins(),
        tier_rooms=_tier_rooms(tree or Tree()),
        has_ring=ring.uses_ring,
        disk=folder,
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ImportError:  # a checkout of vLLM, without metadata
        return "of no known version"


def _tier_rooms(tree: Tree) -> tuple[int, ...]:
    """What arenas can take of each tier now, the fastest first; () where none is known."""
    try:
        nodes, tiers = read_nodes(tree), read_tiers(tree)
        return tuple(
            room_bytes(choose_nodes(nodes, tiers, place).nodes, tree) for place in range(len(tiers))
        )
    except TiermemError:
        return ()
