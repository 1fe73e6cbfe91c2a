"""What the two halves of the plugin share: vLLM makes one for its scheduler, one for its worker.

Both are in one process, for the tiers are that process' memory: engines that are spread
over several are refused.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from tiermem.errors import ConfigError, MissingError
from tiermem.layer.arena import Arena, create_arena
from tiermem.layer.pool import open_pool
from tiermem.serving.kv.counters import TierName
from tiermem.serving.kv.engine_memory import EngineMemory, Layer
from tiermem.serving.kv.keys import identity_of
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.region import ArenaRegion
from tiermem.serving.kv.settings import KvSettings, MemorySettings, PoolSettings, read_settings
from tiermem.serving.kv.steps import Steps
from tiermem.serving.kv.store import KvStore
from tiermem.serving.kv.vllm_identity import engine_facts

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.kv_cache_interface import KVCacheConfig

    from tiermem.serving.kv.vllm_metrics import Fills

# At the end of an engine, so long for SSD to have what memory has.
_FLUSH_S = 30.0


class Engine:
    """Tiers of one engine. `store` and `steps` are there once its KV memory is."""

    def __init__(self, config: VllmConfig, kv_cache_config: KVCacheConfig) -> None:
        """ConfigError where the engine is one that this plugin does not serve."""
        transfer = config.kv_transfer_config
        assert transfer is not None
        self.settings: KvSettings = read_settings(transfer.kv_connector_extra_config)
        _check(config, kv_cache_config)
        self._config = config
        (group,) = kv_cache_config.kv_cache_groups
        self.block_tokens: int = group.kv_cache_spec.block_size
        self._piece_bytes: int = group.kv_cache_spec.page_size_bytes
        self._blocks: int = kv_cache_config.num_blocks
        # Memory, and CXL memory below it.
        self._arenas: dict[TierName, Arena] = {}
        self._held = ExitStack()
        self._store: KvStore | None = None
        self._steps: Steps | None = None
        self.identity = b""

    @property
    def store(self) -> KvStore:
        """MissingError before `open`."""
        if self._store is None:
            raise MissingError(
                "the engine's KV memory was not made known: is its worker elsewhere?"
            )
        return self._store

    @property
    def steps(self) -> Steps:
        """The same."""
        assert self._steps is not None
        return self._steps

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._store is not None

    def open(self, kv_caches: Mapping[str, Any]) -> None:
        """Take the tiers' memory and open the file. NoSpaceError, ConfigError, KernelError."""
        layers = [
            _layer(name, one, self._blocks, self._piece_bytes) for name, one in kv_caches.items()
        ]
        if len({layer.address for layer in layers}) < len(layers):
            raise ConfigError("layers of this model share their KV: such models are not served")
        self.identity = identity_of(engine_facts(self._config, kv_caches))
        shape = RecordShape(len(layers), self._piece_bytes)
        memory, ssd, shared = self.settings.memory, self.settings.ssd, self.settings.pool
        if shared is not None:
            _check_is_alone(self, shared)
        try:
            region = self._take("memory", memory)
            cxl = self.settings.cxl
            self._store = KvStore(
                region,
                shape,
                self.block_tokens,
                self.identity,
                eviction=self.settings.eviction,
                cxl=self._take("cxl", cxl) if cxl else None,
                ssd=(ssd.path, int(ssd.capacity)) if ssd else None,
                pool=(
                    (partial(open_pool, shared.path, shared.host), int(shared.capacity))
                    if shared
                    else None
                ),
            )
        except BaseException:
            self._give_back()
            raise
        self._steps = Steps(self._store, EngineMemory(layers, shape))

    def _take(self, tier: TierName, memory: MemorySettings) -> ArenaRegion:
        arena = create_arena(
            "kv" if tier == "memory" else f"kv-{tier}",
            int(memory.capacity),
            tier=memory.tier,
            nodes=memory.nodes,
            emulation=memory.emulated.emulation() if memory.emulated else None,
        )
        self._arenas[tier] = self._held.enter_context(arena)
        region = ArenaRegion(arena)
        self._held.callback(region.close)
        return region

    def fills(self) -> Fills:
        """How full the tiers are, and where each is."""
        return {
            tier: {**dataclasses.asdict(fill), **self._places[tier]}
            for tier, fill in self.store.fills().items()
        }

    @cached_property
    def _places(self) -> dict[TierName, dict[str, str]]:
        """Of tiers that are there: asked after every step, and never another."""
        places: dict[TierName, dict[str, str]] = {}
        for tier, arena in self._arenas.items():
            kind = arena.description
            emulated = str(kind.emulated) if kind.emulated else ""
            places[tier] = {"where": kind.where, "emulated": emulated}
        if self.settings.pool is not None:
            places["pool"] = {"where": str(self.settings.pool.path), "emulated": ""}
        if self.settings.ssd is not None:
            places["ssd"] = {"where": str(self.settings.ssd.path), "emulated": ""}
        return places

    def close(self) -> None:
        """SSD gets some time for what memory has. As often as one likes."""
        if self._store is None:
            return
        assert self._steps is not None
        self._steps.close()
        self._store.flush(_FLUSH_S)
        self._store.close()
        self._store = self._steps = None
        self._give_back()

    def _give_back(self) -> None:
        self._arenas.clear()
        self._held.close()


_engines: dict[str, Engine] = {}
_engines_lock = threading.Lock()


def _check_is_alone(engine: Engine, pool: PoolSettings) -> None:
    """ConfigError where another engine of this process is the same host of the pool: each would
    take the other's blocks for its own."""
    for other in list(_engines.values()):
        taken = other.settings.pool
        if (
            other is not engine
            and other.is_open
            and taken is not None
            and (taken.path.resolve(), taken.host) == (pool.path.resolve(), pool.host)
        ):
            raise ConfigError(
                f"pool.host = {pool.host}: another engine of this process is that host of "
                f"{pool.path}: each engine of a process needs a number of its own"
            )


def engine_of(config: VllmConfig, kv_cache_config: KVCacheConfig) -> Engine:
    """The same for both halves."""
    assert config.kv_transfer_config is not None
    name = str(config.kv_transfer_config.engine_id)
    with _engines_lock:
        if name not in _engines:
            _engines[name] = Engine(config, kv_cache_config)
        return _engines[name]


def close_engine(engine: Engine) -> None:
    """Whichever half ends first."""
    with _engines_lock:
        for name in [name for name, one in _engines.items() if one is engine]:
            del _engines[name]
    engine.close()


def _check(config: VllmConfig, kv_cache_config: KVCacheConfig) -> None:
    from vllm.platforms import current_platform
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    parallel, transfer = config.parallel_config, config.kv_transfer_config
    assert transfer is not None
    groups = kv_cache_config.kv_cache_groups
    if not current_platform.is_cpu():
        raise ConfigError(
            f"engine on {current_platform.device_type}: the KV tiers serve engines on the CPU only"
        )
    if parallel.world_size != 1 or parallel.distributed_executor_backend not in (None, "uni"):
        raise ConfigError(
            f"engine of {parallel.world_size} workers "
            f"({parallel.distributed_executor_backend}): the KV tiers need one, in the "
            "scheduler's process. On CPUs vLLM has one there where it loads tiermem's plugin "
            "(is tiermem installed beside it, and VLLM_PLUGINS unset?), or with "
            "VLLM_ENABLE_V1_MULTIPROCESSING=0 in the environment"
        )
    if transfer.kv_role != "kv_both":
        raise ConfigError(f"kv_role = {transfer.kv_role!r}: must be 'kv_both'")
    if transfer.kv_load_failure_policy != "recompute":
        raise ConfigError(
            f"kv_load_failure_policy = {transfer.kv_load_failure_policy!r}: must be 'recompute', "
            "so that a damaged block is computed again"
        )
    if len(groups) != 1 or not isinstance(groups[0].kv_cache_spec, FullAttentionSpec):
        raise ConfigError("this model's layers do not all have full attention: it is not served")


def _layer(name: str, tensor: Any, blocks: int, piece_bytes: int) -> Layer:
    """Whole blocks in one piece each, or ConfigError."""
    size = tensor.element_size()
    inner = sorted(zip(tensor.stride()[1:], tensor.shape[1:], strict=True))
    dense = 1
    for stride, length in inner:
        if length != 1 and stride != dense:
            raise ConfigError(f"{name}: a KV block is not in one piece: strides {tensor.stride()}")
        dense *= length
    # The kernels' blocks may be smaller than the engine's: several of them, side by side.
    parts, odd = divmod(tensor.shape[0], blocks)
    stride_bytes = tensor.stride(0) * size
    if odd or parts * dense * size != piece_bytes or (parts > 1 and stride_bytes != dense * size):
        raise ConfigError(
            f"{name}: KV of shape {tuple(tensor.shape)}, strides {tensor.stride()}: "
            f"{blocks} blocks of {piece_bytes} bytes were expected"
        )
    return Layer(name, tensor.data_ptr(), parts * stride_bytes)
