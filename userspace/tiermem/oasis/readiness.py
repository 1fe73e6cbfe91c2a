"""What `tiermem doctor` looks at of Oasis: if it is used here, its pool, NICs, SSDs, daemon."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.oasis.net.carrier import Carrier
from tiermem.oasis.net.namespace import inside
from tiermem.oasis.settings import NicSettings, OasisSettings
from tiermem.oasis.storage.readiness import (
    block_device_trouble,
    io_uring_trouble,
    ssd_trouble,
)
from tiermem.service.doctor import OasisFacts
from tiermem.service.doctor.troubles import daemon_trouble, pool_trouble, read_config

ENABLED = Path("/etc/systemd/system/multi-user.target.wants/tiermem-oasis.service")
_TUN = Path("/dev/net/tun")
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}  # capability.h
_SIOCETHTOOL = 0x8946
_ETHTOOL_GFLAGS = 0x25
_FLAG_LRO = 1 << 15


def read_oasis_facts(config: Path, enabled: Path = ENABLED) -> OasisFacts | None:
    """None where it is not used: neither a config, nor enabled, nor a daemon's socket."""
    settings, config_trouble = read_config(config, OasisSettings)
    if not (config.exists() or enabled.exists() or settings.socket.exists()):
        return None
    versions, etcd_troubles = _read_etcd(settings, enabled)
    return OasisFacts(
        config=config,
        has_tun=_TUN.exists(),
        lacking=_lacking_capabilities(),
        nic_troubles=tuple(filter(None, map(_nic_trouble, settings.nic))),
        merging_nics=tuple(one.interface for one in settings.nic if _merges(one)),
        block_device_trouble=block_device_trouble(),
        io_uring_trouble=io_uring_trouble(),
        ssd_troubles=tuple(filter(None, map(ssd_trouble, settings.ssd))),
        pool=settings.pool,
        pool_trouble=pool_trouble(settings.pool),
        daemon_trouble=config_trouble or daemon_trouble(settings.socket),
        etcd_versions=versions,
        etcd_troubles=etcd_troubles,
    )


def _read_etcd(settings: OasisSettings, enabled: Path) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Versions of its endpoints, and troubles."""
    if settings.state != "etcd":
        return {}, ()
    # What speaks to it takes a while to be imported, and few need it.
    from tiermem.oasis.allocator.etcd_probe import probe_etcd

    answers = probe_etcd(settings)
    return answers.versions, (*answers.troubles, *_unit_troubles(enabled))


def _unit_troubles(enabled: Path) -> Iterator[str]:
    """Whether the unit, if it is used, lets the daemon speak to other hosts."""
    additions = enabled.parents[1] / f"{enabled.name}.d"
    if enabled.exists() and not any("IPAddress" in one.read_text() for one in additions.glob("*")):
        yield f"the unit lets oasisd speak to no host: {additions}/etcd.conf is not there"


def _lacking_capabilities() -> tuple[str, ...]:
    lines = Path("/proc/self/status").read_text().splitlines()
    (effective,) = [int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")]
    return tuple(name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1)


def _nic_trouble(nic: NicSettings) -> str:
    try:
        carrier = Carrier(nic.interface, nic.namespace)
    except TiermemError as error:
        return f"{nic.interface}: {error}"
    carrier.close()
    if carrier.state.index is None:
        return f"{nic.interface}: there is no such interface"
    return "" if carrier.state.is_up else f"{nic.interface}: is down, or has no link"


def _merges(nic: NicSettings) -> bool:
    """Whether it merges frames without saying of what they are made (LRO)."""
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_GFLAGS, 0), 8)
    request = struct.pack("16sQ16x", nic.interface.encode(), ctypes.addressof(value))
    try:
        with inside(nic.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except (OSError, TiermemError):
        return False  # it cannot be asked: not there, or without such a switch
    return bool(struct.unpack("II", value.raw)[1] & _FLAG_LRO)
