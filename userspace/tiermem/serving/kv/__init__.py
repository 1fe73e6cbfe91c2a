"""KV tiers: every KV block that an engine makes, kept in memory of a tier and on SSD.

- `keys`: what a block is known by; `record`: how it lies in memory and on SSD, the same;
- `memory_tier`: the second level, in DRAM and in CXL memory, which are `near` an engine;
  `demotion`: from the one to the other;
- `behind`: what is behind them, `disk_tier` (a `disk_file` that `transfers` moves) and
  `pool_tier`, which hosts share;
- `eviction`: who goes when a tier is full; `cost`: whether to restore at all;
- `store`: all of that as one; `sessions`, `steps`: what an engine asks and what it is told;
  `engine_memory`, `pieces`, `layer_copies`, `job_thread`: how copies are made behind its back;
- `counters`: what happened; `settings`: what users may say;
- `vllm_connector`: the plugin.
"""
