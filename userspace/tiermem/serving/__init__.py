"""Clients of the memory layer that serve language models: plugins of vLLM and what is below.

- `kv`: KV blocks that outlive the engine's own cache, in memory of a tier and on SSD;
- `schedulers`: which requests run next;
- `prefill_only`: a server for requests of one output token, in little memory;
- `vattention`: a KV cache that is contiguous in addresses, and gets memory as tokens arrive.

What names vLLM is in modules called `vllm_…`; all else runs, and is tested, without it.
"""
