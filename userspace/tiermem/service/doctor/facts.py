"""What doctor looks at: the topology, and what else decides whether tiering works."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.sysfs import Tree, read_int, read_text
from tiermem.layer.topology import Topology, read_topology
from tiermem.service.socket_file import GROUP, group_id

MODULES = ("tiermem_hpt", "tiermem_promote", "tiermem_image")
_TRACKER_PCI_ID = ("0x1af4", "0x1110")  # TIERMEM_PCI_VENDOR, TIERMEM_PCI_DEVICE of the uapi


@dataclass(frozen=True)
class DaxDevice:
    """A device-DAX range: a CXL region's memory before, or while, it is a node's."""

    name: str
    driver: str | None
    target_node: int | None
    size_bytes: int


@dataclass(frozen=True)
class ForkFacts:
    """CXLfork on a host that uses it.

    pool_mode: st_mode of what is there by the pool's name, if there is anything.
    pool_trouble, daemon_trouble: one line; empty where it opens, and where it answers.
    """

    pool: Path
    pool_mode: int | None
    pool_trouble: str
    daemon_trouble: str


@dataclass(frozen=True)
class OasisFacts:
    """Oasis on a host that uses it.

    lacking: capabilities that this process has not. nic_troubles: of the config's NICs, a
    line each. merging_nics: those that merge frames for good (LRO).
    block_device_trouble, io_uring_trouble: one line; empty where ublk and io_uring can be used.
    ssd_troubles: of the config's SSDs, a line each. pool_trouble, daemon_trouble: one line;
    empty where it opens, and where it answers. etcd_versions: of
    the endpoints that the pod is in, where they answer. etcd_troubles: a line each.
    """

    config: Path
    has_tun: bool
    lacking: tuple[str, ...]
    nic_troubles: tuple[str, ...]
    merging_nics: tuple[str, ...]
    block_device_trouble: str
    io_uring_trouble: str
    ssd_troubles: tuple[str, ...]
    pool: Path
    pool_trouble: str
    daemon_trouble: str
    etcd_versions: Mapping[str, str]
    etcd_troubles: tuple[str, ...]


@dataclass(frozen=True)
class ServingFacts:
    """vLLM beside tiermem, and what its plugins use.

    distribution, version: as pip lists it. is_for_cpu: its build. plugin_troubles: by plugin,
    one line; empty where vLLM loads it. tier_rooms: bytes that an arena can take of each memory
    tier now, the fastest first. has_ring: whether io_uring can be used. disk: a usual place for
    the SSD tier's file.
    """

    distribution: str
    version: str
    written_for: str
    is_supported: bool
    is_for_cpu: bool
    plugin_troubles: Mapping[str, str]
    tier_rooms: tuple[int, ...]
    has_ring: bool
    disk: Path
    disk_free_bytes: int


@dataclass(frozen=True)
class Facts:
    """A snapshot of one host."""

    topology: Topology
    is_root: bool
    loaded_modules: frozenset[str]
    tracker_devices: tuple[str, ...]
    cxl_memory_devices: tuple[str, ...]
    dax_devices: tuple[DaxDevice, ...]
    kernel_arguments: tuple[str, ...]
    cgroup_controllers: frozenset[str] | None
    """Of the cgroup v2 hierarchy; None where none is mounted at /sys/fs/cgroup."""
    has_group: bool
    has_native: bool
    fork: ForkFacts | None = None
    """None where CXLfork is not used."""
    oasis: OasisFacts | None = None
    """None where Oasis is not used."""
    serving: ServingFacts | None = None
    """None where no vLLM is installed beside tiermem."""


def read_facts(sysfs: Path = Path("/sys"), proc: Path = Path("/proc")) -> Facts:
    """Look at this host (or at a tree like it)."""
    controllers = read_text(sysfs / "fs/cgroup/cgroup.controllers")
    return Facts(
        topology=read_topology(sysfs, proc),
        is_root=os.geteuid() == 0,
        loaded_modules=frozenset(m for m in MODULES if (sysfs / "module" / m).is_dir()),
        tracker_devices=_tracker_devices(sysfs),
        cxl_memory_devices=_names(sysfs / "bus/cxl/devices", "mem*"),
        dax_devices=_dax_devices(Tree(sysfs, proc)),
        kernel_arguments=tuple((read_text(proc / "cmdline") or "").split()),
        cgroup_controllers=None if controllers is None else frozenset(controllers.split()),
        has_group=group_id(GROUP) is not None,
        has_native=importlib.util.find_spec("tiermem.native._syscalls") is not None,
    )


def _names(folder: Path, pattern: str) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.glob(pattern)))


def _tracker_devices(sysfs: Path) -> tuple[str, ...]:
    """PCI addresses of functions with the tracker's vendor and device number."""
    functions = sorted((sysfs / "bus/pci/devices").glob("*"))
    return tuple(
        path.name
        for path in functions
        if (read_text(path / "vendor"), read_text(path / "device")) == _TRACKER_PCI_ID
    )


def _dax_devices(tree: Tree) -> tuple[DaxDevice, ...]:
    return tuple(
        DaxDevice(
            name=path.name,
            driver=(path / "driver").resolve().name if (path / "driver").exists() else None,
            target_node=read_int(path / "target_node"),
            size_bytes=read_int(path / "size") or 0,
        )
        for path in sorted((tree.sysfs / "bus/dax/devices").glob("dax*"))
    )
