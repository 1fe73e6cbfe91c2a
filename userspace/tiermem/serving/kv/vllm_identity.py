"""What a vLLM engine's KV depends on: with any difference its blocks are not another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tiermem.layer.processor import processor_flags
from tiermem.serving.kv.weights import weights_of

if TYPE_CHECKING:
    from vllm.config import VllmConfig

# The order of what is inside a block on CPUs depends on these.
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
# Of the model's own description, what says where it lay or who wrote it.
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")


def engine_facts(config: VllmConfig, kv_caches: Mapping[str, Any]) -> dict[str, object]:
    """JSON values by name. kv_caches: the engine's tensors, by layer."""
    import vllm

    model, load = config.model_config, config.load_config
    described = model.hf_config.to_dict()
    flags = processor_flags()
    return {
        "vllm": vllm.__version__,
        "model": {k: str(v) for k, v in described.items() if k not in _NOT_OF_THE_MODEL},
        "weights": weights_of(model.model, model.revision, load.download_dir),
        "loaded": str(load.load_format),
        "dtype": str(model.dtype),
        "quantization": str(model.quantization),
        "kv_dtype": str(config.cache_config.cache_dtype),
        "block_tokens": config.cache_config.block_size,
        "attention": str(config.attention_config),
        "layers": [
            [name, str(one.dtype), list(one.shape[1:]), list(one.stride()[1:])]
            for name, one in kv_caches.items()
        ],
        "cpu": [flag for flag in _CPU_FLAGS if flag in flags],
    }
