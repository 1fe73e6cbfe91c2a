"""The config of oasisd as a model: oasis.toml, every key with its range and default.

userspace/etc/oasis.toml shows each key with what it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tiermem.oasis.allocator.encoding import DEVICES_MAX
from tiermem.oasis.allocator.leadership import LEASE_S
from tiermem.oasis.allocator.state import HOSTS_MAX, REPORT_S
from tiermem.oasis.allocator.state_settings import StateSettings
from tiermem.oasis.bandwidth import Bandwidth
from tiermem.oasis.names import DeviceName
from tiermem.oasis.net.link import LinkSize
from tiermem.oasis.net.pace import Pace
from tiermem.oasis.net.tap import NAME_BYTES_MAX
from tiermem.oasis.storage.link import LinkSize as StorageLinkSize
from tiermem.oasis.storage.slice_table import SLICES_MAX
from tiermem.service.config import Settings, Size
from tiermem.service.state import STATE_DIR

SSD_NUMBERS_AT = 100
"""So that an SSD keeps its number whatever NICs its host has."""


class NicSettings(Settings):
    """One `[[nic]]`: of this host, for the whole pod. Its number is its place in the list."""

    interface: str = Field(min_length=1, max_length=NAME_BYTES_MAX)
    namespace: str | None = None
    capacity: Bandwidth = Field(gt=0)
    backup: DeviceName | None = None


class SsdSettings(Settings):
    """One `[[ssd]]`: of this host, for the whole pod. Its number is its place in the list,
    from SSD_NUMBERS_AT on. size: how much of it slices may take; None: all."""

    path: Path
    iops: int = Field(gt=0)
    size: Size | None = None
    is_write_through: bool = False


class OasisSettings(StateSettings):
    """The whole of oasis.toml."""

    socket: Path = Path("/run/tiermem/oasis.sock")
    state_file: Path = STATE_DIR / "oasis.json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    pool: Path = Path("/dev/dax0.0")
    host: int = Field(default=0, ge=0, lt=HOSTS_MAX)
    hosts: int = Field(default=8, ge=1, le=HOSTS_MAX)
    lease_s: float = Field(default=LEASE_S, ge=3 * REPORT_S, le=60)
    look_ms: int = Field(default=10, ge=1, le=int(REPORT_S * 1000))
    silence_ms: int = Field(default=25, ge=10, le=10_000)
    nice: int = Field(default=-10, ge=-20, le=19)
    keep_interfaces: bool = False
    link: LinkSize = LinkSize()
    pace: Pace = Pace()
    nic: tuple[NicSettings, ...] = Field(default=(), max_length=DEVICES_MAX)
    ssd_link: StorageLinkSize = StorageLinkSize()
    slices_per_host: int = Field(default=32, ge=1, le=SLICES_MAX)
    io_timeout_s: float = Field(default=0, ge=0, le=86400)
    device_dir: Path = Path("/dev/tiermem")
    ssd: tuple[SsdSettings, ...] = Field(default=(), max_length=DEVICES_MAX)

    @model_validator(mode="after")
    def _is_in_its_pod(self) -> Self:
        if self.host >= self.hosts:
            raise ValueError(f"host {self.host} is none of a pod of {self.hosts} hosts")
        for number, nic in enumerate(self.nic):
            if nic.backup == (self.host, number):
                raise ValueError(f"NIC {nic.interface} is named as its own backup")
        if len(self.nic) + len(self.ssd) > DEVICES_MAX:
            raise ValueError(f"a host has at most {DEVICES_MAX} NICs and SSDs together")
        paths = [one.path for one in self.ssd]
        if len(set(paths)) < len(paths):
            raise ValueError("an SSD is named twice")
        return self
