"""PrefillOnly's executor (SOSP 2025): requests of one output token, in little memory.

vLLM's hooks do not reach what it changes: how a layer is computed, and that KV of all layers
is not kept. So this is an engine of its own, over transformers' model code and weights.

- `families`: which models, and their dimensions (`dimensions`);
- `budget`: how much memory an input of the longest length takes, and what is left for KV;
- `parts`, `workspace`, `hybrid`: a run of some inputs, layer by layer, in memory allocated once;
- `decoder` (`packed_decoder`, `transformers_decoder`) and `attention` (`native_`, `vllm_`,
  `torch_attention`): the kernels that it calls;
- `prefix_cache`, `kv_blocks`: which blocks of KV are kept, and where they lie;
- `executor`: all of it, one run after the other; `start`: made ready and checked;
- `prefill_queue`: who waits, who is next and with whom; `sampling`: the one token;
- `openai_requests`, `openai_answers`, `server`: the API.

`dimensions`, `budget`, `prefix_cache`, `prefill_queue`, `sampling` and the API's modules need no
torch.
"""
