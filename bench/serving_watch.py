"""Looks at an engine while it plays a load: how full its KV memory is, and what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiermem.serving.kv.counters import TierName

from bench.serving_clock import Clock

_ASKED_OF_TIERS = ("get_num_new_matched_tokens", "bring_near")


@dataclass(frozen=True)
class MemoryUse:
    """Of the engine's KV blocks, by time. full: of steps in which requests waited though the
    step had tokens left to compute, so that they waited for memory; always: of all steps."""

    full_share: float | None
    full_s: float
    always_share: float
    running: float


@dataclass(frozen=True)
class Totals:
    """Since the engine began."""

    computed_tokens: int
    preemptions: int
    tiers: Mapping[str, float]


class Watch:
    """Looks at the scheduler after it has put a step together, as vLLM's own metrics do, which
    do not say what a step computes."""

    def __init__(self, engine: Any, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.scheduler = engine.engine_core.engine_core.scheduler
        self._pool = self.scheduler.kv_cache_manager.block_pool
        self._computed_tokens = self._preemptions = 0
        self._seen: list[tuple[float, float, bool, int]] = []
        self._now: tuple[float, bool, int] | None = None
        self._is_counted, self._begun_s = False, 0.0
        # Requests of which the tiers said so in this step.
        self._on_their_way: set[str] = set()
        # Of each request, as the player calls it, when it was first admitted.
        self.restored_blocks: dict[str, Mapping[TierName, int]] = {}

    def __enter__(self) -> Watch:
        plain = self.scheduler.schedule

        def watched(*arguments: Any, **named: Any) -> Any:
            self._on_their_way.clear()
            output = plain(*arguments, **named)
            self._look(output)
            return output

        self.scheduler.schedule = watched
        for name in _ASKED_OF_TIERS if self.scheduler.connector else ():
            setattr(self.scheduler.connector, name, self._noted(name))
        return self

    def __exit__(self, *_error: object) -> None:
        del self.scheduler.schedule
        for name in _ASKED_OF_TIERS if self.scheduler.connector else ():
            delattr(self.scheduler.connector, name)

    def _noted(self, name: str) -> Any:
        """A question to the connector, and of whom it answers that some is on its way."""
        plain = getattr(self.scheduler.connector, name)

        def asked(request: Any, *more: Any) -> Any:
            answer = plain(request, *more)
            if answer is None or answer == (None, False):
                self._on_their_way.add(request.request_id)
            return answer

        return asked

    def begin(self, *, is_counted: bool) -> None:
        """A step."""
        self._is_counted, self._begun_s, self._now = is_counted, self._clock.now_s(), None

    def end(self) -> None:
        """Of the step."""
        if self._is_counted and self._now is not None:
            self._seen.append((self._clock.now_s() - self._begun_s, *self._now))

    def totals(self) -> Totals:
        """Now."""
        tiers: dict[str, float] = {}
        for metric in self._engine.get_metrics():
            if metric.name == "vllm:tiermem_kv_events":
                tiers[f"{metric.labels['tier']} {metric.labels['event']}"] = metric.value
        return Totals(self._computed_tokens, self._preemptions, tiers)

    def use(self) -> MemoryUse:
        """By time, over the steps that counted."""
        full = [one for one in self._seen if one[2]]
        full_s, all_s = sum(one[0] for one in full), sum(one[0] for one in self._seen)
        return MemoryUse(
            sum(one[0] * one[1] for one in full) / full_s if full else None,
            full_s,
            sum(one[0] * one[1] for one in self._seen) / all_s if all_s else 0.0,
            sum(one[0] * one[3] for one in self._seen) / all_s if all_s else 0.0,
        )

    def _look(self, output: Any) -> None:
        scheduler = self.scheduler
        for one in output.scheduled_new_reqs if scheduler.connector else ():
            name = one.req_id.split("-", 1)[0]
            self.restored_blocks[name] = scheduler.connector.restored_blocks(one.req_id)
        self._computed_tokens += output.total_num_scheduled_tokens
        self._preemptions += len(output.preempted_req_ids or ())
        # Those that wait for what is on its way to them do not wait for memory.
        waiting = [one for one in scheduler.waiting if one.request_id not in self._on_their_way]
        step_tokens = scheduler.max_num_scheduled_tokens
        is_full = bool(waiting) and output.total_num_scheduled_tokens < step_tokens
        self._now = (float(self._pool.get_usage()), is_full, len(scheduler.running))
