"""vLLM in this very process, on few threads, without a hub."""

from __future__ import annotations

import os

# One thread: beside other work on the same cores, several wait for each other in spins.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)
