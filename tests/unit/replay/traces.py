"""Small traces and machines to replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from tiermem.m5.settings import M5Settings
from tiermem.native.models import U64, memsys_defaults
from tiermem.replay.contenders import find_contender
from tiermem.replay.patterns import Pattern, PatternSettings
from tiermem.replay.runner import MachineSettings, Result, replay
from tiermem.replay.trace import Trace, encode


@dataclass(frozen=True)
class Listed:
    """A trace of given byte addresses, reads unless said otherwise."""

    addresses: list[int]
    is_write: list[bool] = field(default_factory=list)
    gap: int = 10
    name: str = "listed"
    dropped: int = 0
    first_page: int | None = None

    @property
    def records(self) -> int:
        return len(self.addresses)

    @property
    def pages(self) -> int:
        return len({address >> 12 for address in self.addresses})

    def chunks(self) -> Iterator[U64]:
        n = self.records
        writes = np.array(self.is_write or [False] * n)
        yield encode(np.array(self.addresses, dtype=np.uint64), writes, np.full(n, self.gap))

    def locate(self, record: int) -> str:
        return f"listed: record {record}"


def machine(**changes: object) -> MachineSettings:
    memsys = {**memsys_defaults(), "llc_bytes": 262144}
    return MachineSettings(**{"memsys": memsys, "warmup": 0.0, **changes})  # type: ignore[arg-type]


def pattern(name: str, **changes: object) -> Pattern:
    base = {"pages": 4096, "records": 600_000, "gap": 100}
    return Pattern(name, PatternSettings(**{**base, **changes}))  # type: ignore[arg-type]


def quick_settings(**nominator: object) -> M5Settings:
    """M5 with rounds short enough for a trace of a few hundred milliseconds."""
    return M5Settings.model_validate(
        {
            "elector": {"base_hz": 200.0, "min_hz": 50.0, "max_hz": 200.0},
            "nominator": {"half_life_ms": 50.0, **nominator},
            "promoter": {"rate_limit_MBps": 2000.0},
            "tracker": {"hpt": {"columns": 8192}, "hwt": {"columns": 8192, "entries": 4096}},
        }
    )


def run(trace: Trace, policy: str, **changes: object) -> Result:
    return replay(trace, machine(**changes), quick_settings(), find_contender(policy))
