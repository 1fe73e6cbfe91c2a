"""What `bench.serving` compares, in memory of which size.

Each step adds one thing: vLLM's prefix cache over computing all again; a second level in DRAM;
CXL memory below that; SSD behind both; FlashGen-Sched. One has all but the DRAM. The CXL memory
is an emulated tier (docs/layer.md): DRAM whose copies are held to a stated bandwidth and latency.
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
DRAM, BOTH = "DRAM", "DRAM, emulated CXL"
BOTH_SSD = f"{BOTH}, SSD"
ALL, ALONE = f"{BOTH_SSD}, sched", "emulated CXL, SSD, sched"
NAMES = (RECOMPUTE, VLLM, SCHED, DRAM, BOTH, BOTH_SSD, ALONE, ALL)
# What each can restore from.
TIERS: dict[str, tuple[TierName, ...]] = {
    DRAM: ("memory",),
    BOTH: ("memory", "cxl"),
    BOTH_SSD: ("memory", "cxl", "ssd"),
    ALONE: ("memory", "ssd"),
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
    emulated = {"capacity": size.cxl_tokens * size.token_bytes, "emulated": CXL}
    plain = Engine(VLLM, size.dtype, size.context_tokens, size.kv_tokens, size.step_tokens)

    both = {**dram, "cxl": emulated}

    def on_ssd(name: str, memories: Mapping[str, object]) -> Mapping[str, object]:
        path = folder / f"{name.replace(', ', '-').replace(' ', '-')}.kv"
        ssd = {"path": str(path), "capacity": size.ssd_tokens * size.token_bytes}
        return {**memories, "ssd": ssd}

    made = (
        replace(plain, name=RECOMPUTE, has_prefix_cache=False),
        plain,
        replace(plain, name=SCHED, scheduler=FLASHGEN),
        replace(plain, name=DRAM, tiers=dram),
        replace(plain, name=BOTH, tiers=both),
        replace(plain, name=BOTH_SSD, tiers=on_ssd(BOTH_SSD, both)),
        replace(plain, name=ALONE, tiers=on_ssd(ALONE, {"memory": emulated}), scheduler=FLASHGEN),
        replace(plain, name=ALL, tiers=on_ssd(ALL, both), scheduler=FLASHGEN),
    )
    return {one.name: one for one in made}
