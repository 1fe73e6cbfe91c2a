"""The daemon's config file as a model: m5.toml, every key with its range and default.

userspace/etc/m5.toml shows each key with what it does. `tiermem m5 set KEY
VALUE` goes through the same model; keys under `settable.SETTABLE` may change
while the daemon runs, the others need a restart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tiermem.m5.elector import ElectorSettings
from tiermem.m5.nominator import NominatorSettings
from tiermem.m5.policy import PolicySettings, policy_names
from tiermem.service.config import Settings
from tiermem.service.state import STATE_DIR

_MODULE_AND_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
LIST_ENTRIES_MAX = 4096  # TIERMEM_LIST_ENTRIES_MAX; tests hold it against the header


class TierSettings(Settings):
    """[tiers]: which nodes are fast and slow; empty means as the kernel's tiers say."""

    fast_nodes: list[int] = Field(default_factory=list)
    slow_nodes: list[int] = Field(default_factory=list)


class SketchSettings(Settings):
    """[tracker.hpt] and [tracker.hwt]: one top-K tracker of the device."""

    algorithm: Literal["cm-sketch", "space-saving"] = "cm-sketch"
    rows: int = Field(default=4, ge=1, le=16)
    columns: int = Field(default=131072, ge=16, le=1 << 24)
    counter_bits: int = Field(default=18, ge=1, le=32)
    entries: int = Field(default=LIST_ENTRIES_MAX, ge=1, le=LIST_ENTRIES_MAX)

    @field_validator("columns")
    @classmethod
    def _power_of_two(cls, columns: int) -> int:
        if columns & (columns - 1):
            raise ValueError("must be a power of two")
        return columns


class WordSketchSettings(SketchSettings):
    """[tracker.hwt]: lists of words are shorter by default; they only refine those of pages."""

    entries: int = Field(default=1024, ge=1, le=LIST_ENTRIES_MAX)


class DamonSettings(Settings):
    """[tracker.damon]: sampling of the kernel's own access monitor."""

    sample_us: int = Field(default=5_000, ge=100, le=10_000_000)
    aggregate_us: int = Field(default=100_000, ge=1_000, le=60_000_000)
    min_regions: int = Field(default=100, ge=3, le=100_000)
    max_regions: int = Field(default=1000, ge=3, le=100_000)

    @field_validator("aggregate_us")
    @classmethod
    def _adds_up_samples(cls, aggregate_us: int, info: ValidationInfo) -> int:
        return _not_below("sample_us", aggregate_us, info)

    @field_validator("max_regions")
    @classmethod
    def _leaves_a_choice(cls, max_regions: int, info: ValidationInfo) -> int:
        return _not_below("min_regions", max_regions, info)


def _not_below(other: str, value: int, info: ValidationInfo) -> int:
    """`value`, unless the key `other` of the same table is greater."""
    least = info.data.get(other, value)
    if value < least:
        raise ValueError(f"must be at least {other}, which is {least}")
    return value


class TrackerSettings(Settings):
    """[tracker]: where hotness comes from."""

    kind: str = "device"
    device: Path = Path("/dev/tiermem_hpt0")
    configure: bool = True
    hpt: SketchSettings = Field(default_factory=SketchSettings)
    hwt: WordSketchSettings = Field(default_factory=WordSketchSettings)
    damon: DamonSettings = Field(default_factory=DamonSettings)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        # Trackers take these settings; their registry is open, so no Literal names them.
        from tiermem.m5.trackers import tracker_names

        if kind not in (names := tracker_names()):
            raise ValueError(f"must be one of {', '.join(names)}")
        return kind


class PolicyChoice(Settings):
    """[policy]: a built-in name or "module:Class", and options for a class of one's own."""

    name: str = "density"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (names := policy_names()) and not _MODULE_AND_CLASS.fullmatch(name):
            raise ValueError(f'must be {", ".join(names)} or a class of your own, "module:Class"')
        return name


class PromoterSettings(Settings):
    """[promoter]: how pages are moved up, and how fast at most."""

    kind: Literal["auto", "module", "move-pages"] = "auto"
    device: Path = Path("/dev/tiermem_promote")
    rate_limit_MBps: float = Field(default=200.0, gt=0, le=1_000_000)  # noqa: N815
    burst_s: float = Field(default=0.25, gt=0, le=60)


class DemotionSettings(Settings):
    """[demotion]: how the fast tier gets room. The kernel picks the pages that go down."""

    method: Literal["auto", "reclaim", "kswapd", "off"] = "auto"
    swappiness: int = Field(default=100, ge=0, le=200)
    watermark_scale_factor: int = Field(default=100, ge=1, le=3000)


class ScopeSettings(Settings):
    """[scope]: whose pages may be moved; both empty means everybody's."""

    pids: list[int] = Field(default_factory=list)
    cgroup: str = ""

    @field_validator("pids")
    @classmethod
    def _positive(cls, pids: list[int]) -> list[int]:
        if any(pid < 1 for pid in pids):
            raise ValueError("must be process numbers, 1 and up")
        return pids

    @model_validator(mode="after")
    def _one_of_them(self) -> ScopeSettings:
        if self.pids and self.cgroup:
            raise ValueError("names both pids and a cgroup; give one of them")
        return self


class KernelSettings(Settings):
    """[kernel]: switches that the daemon sets while it runs, and gives back at the end."""

    numa_balancing: Literal["off", "leave"] = "off"
    keep_at_exit: bool = False


class ProbeSettings(Settings):
    """[probes]: kernel probes whose counts the metrics show, a process each."""

    names: list[Literal["migration", "hint-faults", "kernel-cpu", "fault-latency"]] = Field(
        default_factory=list
    )
    period_s: float = Field(default=5.0, ge=0.1, le=3600)


class MonitorSettings(Settings):
    """[monitor]: how often the slow counters are read, and what a read saves by default."""

    period_s: float = Field(default=1.0, ge=0.05, le=60)
    gain_ns: float = Field(default=100.0, gt=0, le=100_000)
    fast_latency_share: float = Field(default=0.4, ge=0, lt=1)
    promote_ns: float = Field(default=12_000.0, gt=0, le=10_000_000)
    demote_ns: float = Field(default=30_000.0, gt=0, le=10_000_000)


class M5Settings(Settings):
    """The whole of m5.toml."""

    dry_run: bool = False
    socket: Path = Path("/run/tiermem/m5.sock")
    state_file: Path = STATE_DIR / "m5.json"
    record: Path | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tiers: TierSettings = Field(default_factory=TierSettings)
    tracker: TrackerSettings = Field(default_factory=TrackerSettings)
    monitor: MonitorSettings = Field(default_factory=MonitorSettings)
    policy: PolicyChoice = Field(default_factory=PolicyChoice)
    nominator: NominatorSettings = Field(default_factory=NominatorSettings)
    elector: ElectorSettings = Field(default_factory=ElectorSettings)
    promoter: PromoterSettings = Field(default_factory=PromoterSettings)
    demotion: DemotionSettings = Field(default_factory=DemotionSettings)
    scope: ScopeSettings = Field(default_factory=ScopeSettings)
    kernel: KernelSettings = Field(default_factory=KernelSettings)
    probes: ProbeSettings = Field(default_factory=ProbeSettings)

    def for_policy(self) -> PolicySettings:
        """The part that a policy sees."""
        return PolicySettings(
            nominator=self.nominator, elector=self.elector, options=self.policy.options
        )
