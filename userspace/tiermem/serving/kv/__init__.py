"""KV tiers: every KV block that an engine makes, kept in memory of a tier and on SSD.

- `keys`: what a block is known by; `record`: how it lies in memory and on SSD, the same;
- `memory_tier`: the second level; `disk_file`, `disk_tier`: what is behind it;
- `eviction`: who goes when a tier is full; `cost`: whether to restore at all;
- `store`: all of that as one, for an engine; `copier`: the threads that copy;
- `counters`: what happened; `settings`: what users may say;
- `vllm_connector`: the plugin.
"""
