"""The two options of vLLM's command line that bring in the KV tiers and a scheduler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SchedulerName = Literal["flashgen", "prefill-only", "vllm"]
SCHEDULERS: dict[SchedulerName, str] = {
    "flashgen": "tiermem.serving.FlashGenScheduler",
    "prefill-only": "tiermem.serving.PrefillOnlyScheduler",
}
"""By name; `vllm` is its own, for which nothing has to be said."""


@dataclass(frozen=True)
class VllmOptions:
    """extra: what users say of the tiers, see `kv.settings`."""

    extra: Mapping[str, Any]
    scheduler: SchedulerName = "flashgen"

    @property
    def kv_transfer_config(self) -> dict[str, Any]:
        """vLLM's own default is to fail requests whose blocks could not be loaded."""
        return {
            "kv_connector": "TieredKV",
            "kv_role": "kv_both",
            "kv_load_failure_policy": "recompute",
            "kv_connector_extra_config": dict(self.extra),
        }

    def arguments(self) -> list[str]:
        """As they go behind `vllm serve MODEL`, without quotes for a shell."""
        found = ["--kv-transfer-config", json.dumps(self.kv_transfer_config)]
        if self.scheduler in SCHEDULERS:
            found += ["--scheduler-cls", SCHEDULERS[self.scheduler]]
        return found
