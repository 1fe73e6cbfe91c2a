"""What is told at /metrics."""

from __future__ import annotations

from tiermem.service.metrics import Metrics
from tiermem.serving.prefill_only.executor import Executor, Prefilled
from tiermem.serving.prefill_only.prefill_queue import PrefillQueue

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class EngineMetrics:
    """Of an executor and its queue, and of the answers given."""

    def __init__(self, executor: Executor, queue: PrefillQueue[Prefilled]) -> None:
        self._metrics = Metrics("prefill_only")
        self._executor, self._queue = executor, queue
        self._requests = self._metrics.counter("requests", "Prompts by outcome.", ("outcome",))
        self._tokens = self._metrics.counter("prompt_tokens", "Of prompts answered.", ("kind",))
        self._seconds = self._metrics.histogram(
            "request_seconds", "From a prompt's coming to its answer.", buckets=SECONDS
        )
        self._waiting = self._metrics.gauge("waiting_requests", "Prompts in the queue.")
        self._blocks = self._metrics.gauge("cache_blocks", "Of the prefix cache.", ("state",))
        self._events = self._metrics.gauge(
            "cache_block_events",
            "Blocks since the start: hits, misses, kept, dropped, evicted.",
            ("event",),
        )

    def answered(self, found: Prefilled, seconds: float) -> None:
        """A prompt was."""
        self._requests.labels("answered").inc()
        self._tokens.labels("computed").inc(found.new_tokens)
        self._tokens.labels("cached").inc(found.cached_tokens)
        self._seconds.observe(seconds)

    def ended(self, outcome: str) -> None:
        """Another end: refused, full, dropped, failed."""
        self._requests.labels(outcome).inc()

    def render(self) -> tuple[bytes, str]:
        """The Prometheus text and its content type."""
        cache = self._executor.cache
        self._waiting.set(len(self._queue))
        self._blocks.labels("used").set(cache.used_blocks)
        self._blocks.labels("all").set(cache.blocks)
        for event in ("hits", "misses", "kept", "dropped", "evicted"):
            self._events.labels(event).set(getattr(cache.counts, event))
        return self._metrics.render()
