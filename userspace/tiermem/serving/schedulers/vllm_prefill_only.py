"""PrefillOnly's order of requests in vLLM:

    --scheduler-cls tiermem.serving.schedulers.vllm_prefill_only.PrefillOnlyScheduler

One request at a time, for requests of one output token; one that asks for more has the
engine for itself until it is done. Whenever none runs, `prefill_only` chooses among those
that wait. How long prefills take is learnt from the steps that held one whole prefill.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tiermem.serving.schedulers.options import PrefillOnlyOptions, read_options
from tiermem.serving.schedulers.prefill_only import Candidate, choose
from tiermem.serving.schedulers.prefill_time import PrefillTime
from tiermem.serving.schedulers.vllm_interface import check_members
from tiermem.serving.schedulers.vllm_nearness import near_tokens
from tiermem.serving.schedulers.vllm_parts import Scheduler


@dataclass(frozen=True, slots=True)
class _Prefill:
    """A step under way that is one whole prefill: `output` is vLLM's description of it."""

    output: Any
    new_tokens: int
    cached_tokens: int
    began_s: float


class PrefillOnlyScheduler(Scheduler):
    """vLLM's scheduler with the shortest prefill first, without batches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_members(self)
        options = read_options(
            self.vllm_config.additional_config, "prefill_only_sched", PrefillOnlyOptions
        )
        self._fairness = options.fairness
        self._under_way: _Prefill | None = None
        self.prefill_time = PrefillTime.assumed(options.assumed_tokens_per_s)
        self.max_num_active_reqs = 1

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """As vLLM's, of a queue that has the request with the lowest score in front."""
        if self.waiting and not self.running:
            self._put_first()
        began_s = time.monotonic()
        output = super().schedule(throttle_prefills)
        if output.total_num_scheduled_tokens:
            self._under_way = self._as_prefill(output, began_s)
        return output

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        """As vLLM's, learning from the time that the step took."""
        step = self._under_way
        if step is not None and step.output is scheduler_output:
            self.prefill_time = self.prefill_time.measured(
                step.new_tokens, step.cached_tokens, time.monotonic() - step.began_s
            )
        return super().update_from_output(scheduler_output, model_runner_output)

    def _put_first(self) -> None:
        by_key = {one.request_id: one for one in self.waiting}
        ready = [one for one in by_key.values() if not self._is_blocked_waiting_status(one.status)]
        described = (one for one in map(self._described, ready) if one is not None)
        chosen = choose(described, time.time(), self.prefill_time, self._fairness)
        if chosen is not None:
            request = by_key[chosen.key]
            self.waiting.remove_request(request)
            self.waiting.prepend_request(request)

    def _described(self, request: Any) -> Candidate | None:
        """None: it would not begin, for its KV is still being brought near."""
        _, cached_tokens, *_ = self.kv_cache_manager.get_computed_blocks(request)
        restored_tokens = near_tokens(self.connector, request, cached_tokens)
        if restored_tokens is None:
            return None
        return Candidate(
            request.request_id,
            request.arrival_time,
            request.num_tokens,
            cached_tokens + restored_tokens,
        )

    def _as_prefill(self, output: Any, began_s: float) -> _Prefill | None:
        """The step as a measurement; None where it is none of one whole prefill."""
        if len(output.scheduled_new_reqs) != 1 or len(output.num_scheduled_tokens) != 1:
            return None
        (new,) = output.scheduled_new_reqs
        new_tokens = output.num_scheduled_tokens[new.req_id]
        if new.num_computed_tokens + new_tokens < self.requests[new.req_id].num_tokens:
            return None
        return _Prefill(output, new_tokens, new.num_computed_tokens, began_s)
