"""What users say of the KV tiers, in `kv_connector_extra_config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field

from tiermem.errors import ConfigError
from tiermem.layer.arena import Emulation
from tiermem.service.config import Settings, validate
from tiermem.serving.kv.eviction import PolicyName

SOURCE = "kv_connector_extra_config"
# Written as a number of bytes, or as in "4GiB".
Bytes = Annotated[ByteSize, Field(gt=0)]


class EmulatedSettings(Settings):
    """A tier that this host does not have; its figures are kept by all copies."""

    bandwidth_Bps: int = Field(ge=10**6, le=10**13)  # noqa: N815
    latency_ns: int = Field(ge=0, le=10**9)

    def emulation(self) -> Emulation:
        """For the arena."""
        return Emulation(self.bandwidth_Bps, self.latency_ns)


class MemorySettings(Settings):
    """Memory for KV: where it lies, and how much of it there is."""

    capacity: Bytes
    tier: Literal["fastest", "slowest"] | Annotated[int, Field(ge=0)] | None = None
    nodes: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    emulated: EmulatedSettings | None = None


class SsdSettings(Settings):
    """The file behind all memory."""

    path: Path
    capacity: Bytes


class PoolSettings(Settings):
    """A pool that other engines, on this host or on others, find this one's blocks in."""

    path: Path
    host: int = Field(ge=0)
    capacity: Bytes


class KvSettings(Settings):
    """All of it. cxl: memory below `memory`, of the slowest tier unless it says otherwise.
    restore: "always" leaves the cost model out."""

    memory: MemorySettings
    cxl: MemorySettings | None = None
    ssd: SsdSettings | None = None
    pool: PoolSettings | None = None
    eviction: PolicyName = "lru"
    restore: Literal["auto", "always"] = "auto"


def read_settings(values: Mapping[str, Any]) -> KvSettings:
    """ConfigError of one line that names key, value and what is allowed."""
    settings = validate(values, KvSettings, SOURCE)
    for name, memory in (("memory", settings.memory), ("cxl", settings.cxl)):
        if memory is not None and memory.tier is not None and memory.nodes is not None:
            raise ConfigError(f"{SOURCE}: {name}: tier and nodes: only one of the two can be named")
    for name, there in (("ssd", settings.ssd), ("pool", settings.pool)):
        if there is not None and not there.path.is_absolute():
            raise ConfigError(f"{SOURCE}: {name}.path = {str(there.path)!r}: must be absolute")
    return settings.model_copy(update={"cxl": _of_slowest(settings.cxl)})


def _of_slowest(cxl: MemorySettings | None) -> MemorySettings | None:
    """Unless it says whose memory it is."""
    if cxl is None or (cxl.tier, cxl.nodes, cxl.emulated) != (None, None, None):
        return cxl
    return cxl.model_copy(update={"tier": "slowest"})
