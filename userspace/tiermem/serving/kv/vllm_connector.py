"""The plugin: KV tiers as vLLM's KV connector (interface v1).

    --kv-transfer-config '{"kv_connector": "TieredKV", "kv_role": "kv_both",
      "kv_load_failure_policy": "recompute", "kv_connector_extra_config": {
        "memory": {"capacity": "8GiB"}, "ssd": {"path": "/var/kv", "capacity": "64GiB"}}}'

It only translates: `sessions` decides, `steps` copies. See docs/serving.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    SupportsHMA,
)
from vllm.v1.metrics.cache_hit_source import CacheHitSource

from tiermem.serving.kv.counters import Blocks
from tiermem.serving.kv.sessions import Scheduled, Sessions
from tiermem.serving.kv.steps import Plan
from tiermem.serving.kv.vllm_engine import close_engine, engine_of
from tiermem.serving.kv.vllm_metrics import TierProm, TierStats, since

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.core.kv_cache_manager import KVCacheBlocks, KVCacheManager
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.outputs import KVConnectorOutput
    from vllm.v1.request import Request

log = logging.getLogger(__name__)


@dataclass
class PlanMetadata(KVConnectorMetadata):  # type: ignore[misc]
    """A plan on its way from the scheduler's half to the worker's, within the process."""

    plan: Plan


class TieredKV(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]
    """One for the scheduler, one for the worker."""

    _cache_hit_source = CacheHitSource.HOST

    def __init__(
        self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig
    ) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._engine = engine_of(vllm_config, kv_cache_config)
        self._requests: dict[str, Request] = {}
        self._made: Sessions | None = None
        self._bad_ids: set[int] = set()
        self._told: dict[str, dict[str, int]] = {}
        self._told_state: tuple[int, ...] = ()

    @property
    def requires_kv_delivery(self) -> bool:
        """A block that is not saved is computed again some time."""
        return False

    # --- the worker's half ---

    def register_kv_caches(self, kv_caches: dict[str, Any]) -> None:
        """The engine's KV memory is there."""
        self._engine.open(kv_caches)

    def handle_preemptions(self, kv_connector_metadata: KVConnectorMetadata) -> None:
        """Before every step, and before vLLM clears blocks that the last one still had."""
        self._engine.steps.settle()

    def bind_connector_metadata(self, connector_metadata: KVConnectorMetadata) -> None:
        """A step begins."""
        super().bind_connector_metadata(connector_metadata)
        assert isinstance(connector_metadata, PlanMetadata)
        self._engine.steps.begin(connector_metadata.plan)

    def has_connector_metadata(self) -> bool:
        """vLLM asks before each layer. A step that copies nothing need not be told of its own,
        which takes a percent of a short one's time."""
        return self._engine.steps.is_layered and super().has_connector_metadata()

    def start_load_kv(self, forward_context: Any, **_more: Any) -> None:
        """Begin to restore; after the computation where the step itself needs nothing."""
        self._engine.steps.start_loads()

    def wait_for_layer_load(self, layer_name: str) -> None:
        """The layer is about to be computed."""
        steps = self._engine.steps
        steps.need_layer(steps.layer_number(layer_name))

    def save_kv_layer(
        self, layer_name: str, kv_layer: Any, attn_metadata: Any, **_more: Any
    ) -> None:
        """The layer was computed."""
        steps = self._engine.steps
        steps.computed_layer(steps.layer_number(layer_name))

    def wait_for_save(self) -> None:
        """The step ends; what it made is copied before the next one begins."""
        self._engine.steps.end()

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:
        """Requests whose blocks were restored in the background."""
        restored, self._bad_ids = self._engine.steps.take_results()
        return None, restored or None

    def get_block_ids_with_load_errors(self) -> set[int]:
        """Those of vLLM's blocks that were restored from something damaged."""
        bad_ids, self._bad_ids = self._bad_ids, set()
        return bad_ids

    def shutdown(self) -> None:
        """Either half ends: both do."""
        close_engine(self._engine)

    # --- the scheduler's half ---

    @property
    def _sessions(self) -> Sessions:
        if self._made is None:
            self._made = Sessions(
                self._engine.store,
                self._engine.identity,
                always_restore=self._engine.settings.restore == "always",
            )
        return self._made

    def on_new_request(self, request: Request) -> None:
        """It will ask for blocks some time."""
        self._requests[request.request_id] = request

    def get_num_new_matched_tokens(
        self, request: Request, num_computed_tokens: int
    ) -> tuple[int | None, bool]:
        """Tokens whose KV can be restored, and whether that happens in the background."""
        if _is_passed_by(request):
            return 0, False
        self._requests[request.request_id] = request
        if request.skip_reading_prefix_cache:
            self._sessions.begin(request.request_id, request.cache_salt or "")
            return 0, False
        match = self._sessions.match(
            request.request_id,
            request.cache_salt or "",
            request.all_token_ids,
            num_computed_tokens,
            len(self._requests),
        )
        if match.blocks is None:
            return None, False
        return match.blocks * self._engine.block_tokens, match.is_background

    def bring_near(self, request: Request, num_computed_tokens: int) -> int | None:
        """For schedulers that plan ahead (`schedulers.vllm_nearness`): have it staged."""
        if _is_passed_by(request) or request.skip_reading_prefix_cache:
            return 0
        blocks = self._sessions.bring_near(
            request.request_id,
            request.cache_salt or "",
            request.all_token_ids,
            num_computed_tokens,
            len(self._requests),
        )
        return None if blocks is None else blocks * self._engine.block_tokens

    def update_state_after_alloc(
        self, request: Request, blocks: KVCacheBlocks, num_external_tokens: int
    ) -> None:
        """It has blocks."""
        self._sessions.admit(
            request.request_id,
            blocks.get_block_ids()[0],
            num_external_tokens // self._engine.block_tokens,
        )

    def get_external_cache_hit_sources(
        self, request: Request, num_external_tokens: int
    ) -> dict[CacheHitSource, int]:
        """For vLLM's own statistics, which know memory and disk."""
        tokens: Counter[CacheHitSource] = Counter()
        for tier, blocks in self._sessions.sources(request.request_id).items():
            source = CacheHitSource.DISK if tier == "ssd" else CacheHitSource.HOST
            tokens[source] += blocks * self._engine.block_tokens
        return dict(tokens) if num_external_tokens else {}

    def restored_blocks(self, request_id: str) -> Blocks:
        """For benchmarks: what the request was last admitted with, by the tiers that had it."""
        return self._sessions.sources(request_id)

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KVConnectorMetadata:
        """The step is put together."""
        return PlanMetadata(self._sessions.plan(self._scheduled(scheduler_output)))

    def update_connector_output(self, connector_output: KVConnectorOutput) -> None:
        """Damaged blocks, and what was computed from them, must not be found by others in
        vLLM's own cache before they were computed again."""
        if not connector_output.invalid_block_ids:
            return
        manager = self._kv_cache_manager
        assert manager is not None
        self._sessions.spoilt()
        spoilt = set(connector_output.invalid_block_ids)
        # Also of requests that found them in vLLM's own cache in that very step.
        for request_id in self._requests:
            ids = manager.get_block_ids(request_id)[0]
            spoilt.update(after_first(ids, connector_output.invalid_block_ids))
        manager.evict_blocks(spoilt)

    def request_finished(
        self, request: Request, block_ids: list[int]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Its blocks may go: what was saved of them is copied before the next step."""
        self._requests.pop(request.request_id, None)
        self._sessions.finish(request.request_id)
        return False, None

    def request_finished_all_groups(
        self, request: Request, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        """The same: there is one group."""
        return self.request_finished(request, block_ids[0])

    def reset_cache(self) -> bool:
        """Nothing of what was computed so far is right any more. False where vLLM still has
        some of it: then nothing is saved until a reset finds it empty."""
        manager = self._kv_cache_manager
        assert manager is not None
        # What vLLM's own reset looks at, just before.
        is_empty: bool = manager.usage == 0
        if not is_empty:
            log.warning("KV is not saved any more: reset the cache again when no request runs")
        self._engine.steps.drain()
        self._sessions.renew(is_empty=is_empty)
        self._engine.store.clear()
        return is_empty

    def get_kv_connector_stats(self) -> TierStats | None:
        """What happened since the last time; told by the scheduler's half."""
        if self.role != KVConnectorRole.SCHEDULER or not self._engine.is_open:
            return None
        store = self._engine.store
        # Asked after every step, of which most change nothing.
        if (state := store.state) == self._told_state:
            return None
        self._told_state = state
        now, fills = store.counters.snapshot(), self._engine.fills()
        events, self._told = since(now, self._told), now
        return TierStats(events, fills)

    @classmethod
    def build_kv_connector_stats(cls, data: dict[str, Any] | None = None) -> TierStats:
        """From what came out of another process."""
        return TierStats(**(data or {}))

    @classmethod
    def build_prom_metrics(cls, *arguments: Any) -> TierProm:
        """For /metrics."""
        return TierProm(*arguments)

    def _scheduled(self, output: SchedulerOutput) -> Iterator[Scheduled]:
        computed = {one.req_id: one.num_computed_tokens for one in output.scheduled_new_reqs}
        cached = output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        manager = self._kv_cache_manager
        assert manager is not None
        for request_id, new in output.num_scheduled_tokens.items():
            request = self._requests.get(request_id)
            if request is not None:
                yield Scheduled(
                    request_id,
                    computed[request_id],
                    new,
                    request.all_token_ids,
                    partial(_block_ids, manager, request_id),
                )


def _is_passed_by(request: Request) -> bool:
    """Its KV depends on more than tokens."""
    return bool(request.lora_request or request.mm_features) or request.prompt_embeds is not None


def after_first(ids: Sequence[int], bad: Set[int]) -> Sequence[int]:
    """From the first one on that is bad."""
    return next((ids[place:] for place, one in enumerate(ids) if one in bad), ())


def _block_ids(manager: KVCacheManager, request_id: str) -> Sequence[int]:
    ids: Sequence[int] = manager.get_block_ids(request_id)[0]
    return ids
