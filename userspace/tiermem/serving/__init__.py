"""Clients of the memory layer that serve language models: plugins of vLLM and what is below.

- `kv`: KV blocks that outlive the engine's own cache, in memory of a tier and on SSD;
- `schedulers`: which requests run next;
- `prefill_only`: a server for requests of one output token, in little memory;
- `vattention`: a KV cache that is contiguous in addresses, and gets memory as tokens arrive;
- `top`: what a server with these plugins does, from its metrics.

What names vLLM is in modules called `vllm_…`; all else runs, and is tested, without it. Here
are the schedulers by short names, for vLLM's `--scheduler-cls`: they are imported when asked
for, since they need vLLM.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_SCHEDULERS = {
    "FlashGenScheduler": "tiermem.serving.schedulers.vllm_flashgen",
    "PrefillOnlyScheduler": "tiermem.serving.schedulers.vllm_prefill_only",
}


def __getattr__(name: str) -> Any:
    if name not in _SCHEDULERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SCHEDULERS[name]), name)
