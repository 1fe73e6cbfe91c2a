"""What `bench.serving` compares, in memory of which size.

Each step adds one thing: vLLM's prefix cache over computing all again; a second level in DRAM;
more of it in CXL memory behind that; SSD behind both; FlashGen-Sched. The CXL memory is an
emulated tier (docs/layer.md): DRAM whose copies are held to a stated bandwidth and latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tiermem.serving.kv.counters import TierName

from bench.serving_engine import FLASHGEN, Engine
from bench.smollm2 import DTypeName

# What is published of a CXL device with 8 lanes.
CXL = {"bandwidth_Bps": 30 * 10**9, "latency_ns": 250}
RECOMPUTE, VLLM, SCHED = "recompute", "vLLM", "vLLM, sched"
DRAM, CXL_TOO, SSD_TOO = "DRAM", "DRAM, emulated CXL", "DRAM, emulated CXL, SSD"
ALL = f"{SSD_TOO}, sched"
NAMES = (RECOMPUTE, VLLM, SCHED, DRAM, CXL_TOO, SSD_TOO, ALL)
# What each can restore from.
TIERS: dict[str, tuple[TierName, ...]] = {
    DRAM: ("memory",),
    CXL_TOO: ("memory", "cxl"),
    SSD_TOO: ("memory", "cxl", "ssd"),
    ALL: ("memory", "cxl", "ssd"),
}


@dataclass(frozen=True)
class Size:
    """kv_tokens: of the engines' own KV memory, dram, cxl, ssd: of the tiers; step: what they
    compute at a time; all in tokens."""

    dtype: DTypeName
    context_tokens: int
    kv_tokens: int
    dram_tokens: int
    cxl_tokens: int
    ssd_tokens: int
    step_tokens: int = 1024

    @property
    def token_bytes(self) -> int:
        """In a tier: a token's KV, and its share of what a record has besides."""
        return (23040 if self.dtype == "bfloat16" else 46080) + 4096 // 32


def engines(size: Size, folder: Path) -> Mapping[str, Engine]:
    """All configurations by name. folder: on the SSD that is measured."""
    dram = {"memory": {"capacity": size.dram_tokens * size.token_bytes}}
    cxl = {**dram, "cxl": {"capacity": size.cxl_tokens * size.token_bytes, "emulated": CXL}}
    plain = Engine(VLLM, size.dtype, size.context_tokens, size.kv_tokens, size.step_tokens)

    def on_ssd(name: str) -> Mapping[str, object]:
        path = folder / f"{name.replace(', ', '-').replace(' ', '-')}.kv"
        return {**cxl, "ssd": {"path": str(path), "capacity": size.ssd_tokens * size.token_bytes}}

    made = (
        replace(plain, name=RECOMPUTE, has_prefix_cache=False),
        plain,
        replace(plain, name=SCHED, scheduler=FLASHGEN),
        replace(plain, name=DRAM, tiers=dram),
        replace(plain, name=CXL_TOO, tiers=cxl),
        replace(plain, name=SSD_TOO, tiers=on_ssd(SSD_TOO)),
        replace(plain, name=ALL, tiers=on_ssd(ALL), scheduler=FLASHGEN),
    )
    return {one.name: one for one in made}
