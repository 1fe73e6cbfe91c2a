"""Which requests run next: policies without vLLM, and thin vLLM schedulers over them.

- `flashgen`: a long request that does not fit lets younger ones pass, and takes their
  memory as soon as it is enough;
- `prefill_only`: for one-token requests, the one that is done soonest, judged anew before
  each by what is cached now; `prefill_time` is the model of how long that takes;
- `options`: what may be set, given to vLLM with `--additional-config`;
- `vllm_flashgen`, `vllm_prefill_only`: the classes for vLLM's `--scheduler-cls`;
  `vllm_interface` is what they expect of vLLM, `vllm_parts` what they are built on.
"""
