"""A real /metrics with vLLM's names, whose values tests set as a server's life would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

LABELS = ("model_name", "engine")
ENGINE = ("smollm2", "0")
BLOCK_BYTES = 1000


class Served:
    """What the server counts. has_tiers: whether it was started with the KV tiers."""

    def __init__(self, *, has_tiers: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Any] = {}
        for name in ("num_preemptions", "generation_tokens"):
            self._make(Counter, name).labels(*ENGINE)
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
            self._make(Gauge, name).labels(*ENGINE)
        self._make(Counter, "prompt_tokens_by_source", "source")
        for name in ("time_to_first_token_seconds", "request_time_per_output_token_seconds"):
            self._make(Histogram, name, buckets=(0.1, 0.2, 0.4)).labels(*ENGINE)
        if has_tiers:
            self._make(Counter, "tiermem_kv_events", "tier", "where", "event")
            self._make(Gauge, "tiermem_kv_capacity_bytes", "tier", "where")
            self._make(Gauge, "tiermem_kv_used_bytes", "tier", "where")

    def __getitem__(self, name: str) -> Any:
        """A metric of the engine; with more labels: `[name, "memory", "hits"]`."""
        name, *more = (name,) if isinstance(name, str) else name
        return self._made[name].labels(*ENGINE, *more)

    def works(self) -> None:
        """A second turn: 6 blocks were in memory, 2 came from SSD, 1 was computed though found,
        1 was nowhere."""
        places = {"memory": "tier 0", "ssd": "/kv"}
        for tier, blocks, used in (("memory", 8, 6), ("ssd", 100, 10)):
            self["tiermem_kv_capacity_bytes", tier, places[tier]].set(blocks * BLOCK_BYTES)
            self["tiermem_kv_used_bytes", tier, places[tier]].set(used * BLOCK_BYTES)
        for tier, event, count in (
            *(("memory", "hits", 6), ("ssd", "hits", 2), ("ssd", "recomputed", 1)),
            *(("memory", "misses", 1), ("memory", "restored", 8), ("memory", "stored", 9)),
            *(("memory", "bytes_out", 8 * BLOCK_BYTES), ("ssd", "bytes_out", 2 * BLOCK_BYTES)),
            ("ssd", "corrupted", 1),
        ):
            self["tiermem_kv_events", tier, places[tier], event].inc(count)
        for source, count in (
            *(("local_compute", 64), ("local_cache_hit", 32), ("external_kv_transfer", 256)),
        ):
            self["prompt_tokens_by_source", source].inc(count)
        self["time_to_first_token_seconds"].observe(0.15)
        self["generation_tokens"].inc(50)

    def _make(self, kind: type[Any], name: str, *labels: str, **more: Any) -> Any:
        made = kind(f"vllm:{name}", "", (*LABELS, *labels), registry=self.registry, **more)
        self._made[name] = made
        return made


@contextmanager
def serving(served: Served, port: int = 0) -> Iterator[int]:
    """The port that it answers at."""
    server, thread = start_http_server(port, "127.0.0.1", registry=served.registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
