"""FlashGen's order of requests in vLLM:

    --scheduler-cls tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler

Before each step of vLLM's scheduler, what runs and what waits is described to `flashgen`,
those that it names are preempted, and the waiting queue is put in its order. vLLM admits
from the front of the queue until one does not fit, and allocates as ever: should a plan be
wrong, a request waits a step longer, and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tiermem.errors import ConfigError
from tiermem.serving.schedulers.flashgen import Limits, Order, Plan, Running, Waiting, plan
from tiermem.serving.schedulers.options import FlashGenOptions, read_options
from tiermem.serving.schedulers.vllm_interface import check_members
from tiermem.serving.schedulers.vllm_nearness import near_tokens
from tiermem.serving.schedulers.vllm_parts import PauseState, Scheduler, SchedulingPolicy


@dataclass(slots=True)
class FlashGenCounts:
    """Since the start. deferred_steps: steps in which somebody was deferred."""

    deferred_steps: int = 0
    promoted: int = 0
    preempted: int = 0


class FlashGenScheduler(Scheduler):
    """vLLM's scheduler with promotion past a request that does not fit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_members(self)
        self._refuse_what_differs()
        options = read_options(
            self.vllm_config.additional_config, "flashgen_sched", FlashGenOptions
        )
        headroom_blocks = int(options.headroom * self.kv_cache_config.num_blocks)
        self._limits = Limits(headroom_blocks, options.window)
        self.flashgen_counts = FlashGenCounts()

    def _refuse_what_differs(self) -> None:
        if self.policy != SchedulingPolicy.FCFS:
            raise ConfigError(
                f"--scheduling-policy: {self.policy.value}: FlashGenScheduler goes by arrival, "
                "only fcfs is allowed with it"
            )
        # It would hold for a deferred request too, which may need all memory to run at all.
        watermark = self.scheduler_config.watermark
        if watermark:
            raise ConfigError(
                f"--watermark: {watermark}: with FlashGenScheduler only 0 is allowed; its "
                "flashgen_sched.headroom is for that"
            )

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """As vLLM's, of a queue in FlashGen's order."""
        # vLLM preempts the last one when memory is short: that is to be the youngest.
        self.running.sort(key=_order)
        is_asked = self.waiting or self.kv_holding_waiting
        if is_asked and self.pause_state == PauseState.UNPAUSED:
            self._follow_plan()
        return super().schedule(throttle_prefills)

    def _follow_plan(self) -> None:
        blocked: list[Any] = []
        queue: list[Any] = []
        for request in sorted(self.waiting, key=_order):
            is_blocked = self._is_blocked_waiting_status(request.status)
            (blocked if is_blocked else queue).append(request)
        loading, loaded = self._holding()
        # vLLM admits nobody before those whose KV has come.
        queue = [*loaded, *queue]
        if not queue:
            return
        described = (self._described_waiting(request) for request in queue)
        made = plan(
            self.kv_cache_manager.block_pool.get_num_free_blocks(),
            self._places(),
            [*self._described_running(min(map(_order, queue))), *map(self._as_running, loading)],
            (one for one in described if one is not None),
            self._limits,
        )
        self._preempt(made)
        # vLLM passes over blocked ones by itself, and looks whether they still are.
        self._arrange([*(one.request_id for one in blocked), *made.admit])
        self._count(made)

    def _preempt(self, made: Plan) -> None:
        now_s = time.monotonic()
        for key in made.preempt:
            request = self.requests[key]
            self.running.remove(request)
            self._preempt_request(request, now_s, drop_stale_output=self.requires_kv_delivery)
            # Should it fit again in this very step, the model runner is to know of a new start.
            self.prev_step_scheduled_req_ids.discard(key)

    def _arrange(self, first: list[str]) -> None:
        """The waiting queue in order: these first, then all others as they came."""
        rank = {key: place for place, key in enumerate(first)}
        ordered = sorted(
            self.waiting, key=lambda one: (rank.get(one.request_id, len(rank)), _order(one))
        )
        if ordered == list(self.waiting):
            return
        self.waiting.remove_requests(ordered)
        for request in ordered:
            self.waiting.add_request(request)

    def _holding(self) -> tuple[list[Any], list[Any]]:
        """Who has blocks without running: their KV is on its way, or has come."""
        loading: list[Any] = []
        loaded: list[Any] = []
        for request in sorted(self.kv_holding_waiting, key=_order):
            is_there = request.request_id in self.finished_recving_kv_req_ids
            is_blocked = self._is_blocked_waiting_status(request.status) and not is_there
            (loading if is_blocked else loaded).append(request)
        return loading, loaded

    def _as_running(self, request: Any) -> Running:
        """One whose KV is on its way: it will go on from there, and its blocks are not free."""
        soon_blocks = self._request_remaining_blocks(request)
        return Running(
            request.request_id, _order(request), soon_blocks=soon_blocks, can_be_preempted=False
        )

    def _places(self) -> int:
        busy: int = len(self.running) + self.num_waiting_for_streaming_input
        return max(0, int(self.max_num_active_reqs) - busy)

    def _described_running(self, head: Order) -> list[Running]:
        """All that run; what those younger than `head` hold, as far as it can be had."""
        held = {
            one.request_id: self._blocks(self.kv_cache_manager.get_blocks(one.request_id))
            for one in self.running
            if _order(one) > head and self._request_blocks_can_be_freed(one)
        }
        holders = Counter(number for blocks in held.values() for number in blocks)

        def described(request: Any) -> Running:
            blocks = held.get(request.request_id, {})
            return Running(
                request.request_id,
                _order(request),
                frozenset(number for number in blocks if blocks[number].ref_cnt <= holders[number]),
                self._request_remaining_blocks(request),
                request.request_id in held,
            )

        return [described(request) for request in self.running]

    def _described_waiting(self, request: Any) -> Waiting | None:
        """None: it would not begin, for its KV is still being brought near."""
        if self._holds_kv_blocks(request):
            need_blocks = self._request_remaining_blocks(request)
            return Waiting(request.request_id, _order(request), need_blocks)
        manager = self.kv_cache_manager
        cached, cached_tokens, *_ = manager.get_computed_blocks(request)
        if near_tokens(self.connector, request, cached_tokens) is None:
            return None
        tokens = min(request.num_tokens, self.max_model_len)
        need = manager.coordinator.get_num_blocks_to_allocate(
            request_id=request.request_id,
            num_tokens=tokens,
            new_computed_blocks=cached.blocks,
            num_encoder_tokens=0,
            total_computed_tokens=cached_tokens,
            num_local_computed_tokens=cached_tokens,
            num_tokens_main_model=tokens,
            apply_admission_cap=True,
            prefill_end=max(request.num_prompt_tokens, request.num_tokens - 1),
        )
        shared = frozenset(self._blocks(cached))
        return Waiting(request.request_id, _order(request), need, shared)

    @staticmethod
    def _blocks(blocks: Any) -> dict[int, Any]:
        return {one.block_id: one for group in blocks.blocks for one in group if not one.is_null}

    def _count(self, made: Plan) -> None:
        self.flashgen_counts.deferred_steps += made.deferred is not None
        self.flashgen_counts.promoted += len(made.promoted)
        self.flashgen_counts.preempted += len(made.preempt)


def _order(request: Any) -> Order:
    return request.arrival_time, request.request_id
