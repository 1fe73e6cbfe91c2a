"""Who is compared in PrefillOnly's benchmark, and with which settings."""

from __future__ import annotations

from typing import Any

from bench.smollm2 import fast_dtype

DTYPE = fast_dtype()
CONTEXT_TOKENS = 8192
# How vLLM takes prompts: in pieces beside others (its default), or whole and one at a time.
VLLM_SETTINGS: dict[str, dict[str, Any]] = {
    "vLLM, chunked prefill": {"max_num_batched_tokens": 2048, "enable_chunked_prefill": True},
    "vLLM, whole prompts": {
        "max_num_batched_tokens": CONTEXT_TOKENS,
        "enable_chunked_prefill": False,
        "max_num_seqs": 1,
    },
}
OURS = "PrefillOnly"
ONE_AT_A_TIME = "PrefillOnly, one at a time"
# Plain prefills by transformers' model code, as it is called by default, and without KV.
WITH_KV, WITHOUT_KV = "transformers", "transformers, use_cache=False"
ALL = (OURS, *VLLM_SETTINGS, WITH_KV, WITHOUT_KV)
# The better of vLLM's for inputs, and the plain prefill; of vLLM's for requests mostly the better.
QUICK = (OURS, "vLLM, chunked prefill", WITH_KV)
VLLM_QUICK = ("vLLM, whole prompts",)
