"""Which models are served: those whose layers are Llama's, by transformers' name of the family.

A layer is norm, attention with rotary positions over all tokens before, norm, and a gated MLP,
each of which `hybrid` calls by the names that these families share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tiermem.errors import ConfigError, MissingError
from tiermem.serving.prefill_only.dimensions import Dimensions

FAMILIES = ("llama", "mistral", "qwen2")
DTypeName = Literal["auto", "float32", "bfloat16"]
# Positions whose frequencies depend on how long the whole input is.
_ROPE_BY_LENGTH = ("dynamic", "longrope")


def load_model(name: str, dtype: DTypeName = "auto") -> Any:
    """A folder, or a name of a model hub, as transformers' model, on the CPU.

    ConfigError for a model that is not served. MissingError where it is not to be found, or
    transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise MissingError(
            f"{error.name} is not installed: prefill-only needs torch and transformers"
        ) from None
    try:
        check(AutoConfig.from_pretrained(name), name)
        wanted = dtype if dtype == "auto" else getattr(torch, dtype)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=wanted, attn_implementation="sdpa")
    except (OSError, ValueError) as error:
        kind = "" if Path(name).is_dir() else ", and is no folder"
        raise MissingError(
            f"model {name!r}: cannot be loaded{kind}: {_first_line(error)}"
        ) from None
    return model.eval().requires_grad_(False)


def check(config: Any, name: str) -> None:
    """ConfigError where what is computed here would not be what the model computes."""
    family = config.model_type
    if family not in FAMILIES:
        raise ConfigError(f"model {name!r}: is of {family}; served are {', '.join(FAMILIES)}")
    if getattr(config, "quantization_config", None) is not None:
        raise ConfigError(f"model {name!r}: has quantised weights; float32 and bfloat16 are served")
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if family == "mistral" and getattr(config, "sliding_window", None):
        kinds.add("sliding_attention")
    if kinds:
        raise ConfigError(
            f"model {name!r}: has layers of {', '.join(sorted(kinds))}; served are "
            "those that attend to all tokens"
        )
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in _ROPE_BY_LENGTH:
        raise ConfigError(
            f"model {name!r}: has {rope} positions, which depend on the input's length"
        )


def dimensions_of(config: Any, item_bytes: int) -> Dimensions:
    """From transformers' description of it."""
    heads = config.num_attention_heads
    return Dimensions(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocab=config.vocab_size,
        item_bytes=item_bytes,
        context_tokens=config.max_position_embeddings,
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
