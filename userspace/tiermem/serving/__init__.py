"""Clients of the memory layer that serve language models: plugins of vLLM and what is below.

- `schedulers`: which requests run next.

What names vLLM is in modules called `vllm_…`; all else runs, and is tested, without it.
"""
