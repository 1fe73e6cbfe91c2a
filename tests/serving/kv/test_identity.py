"""An engine's identity is another one with anything that its KV depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiermem.serving.kv.keys import identity_of
from tiermem.serving.kv.vllm_identity import engine_facts
from vllm.engine.arg_utils import EngineArgs

from bench.smollm2 import model_folder

MODEL = str(model_folder("float32"))


def identity(layout: tuple[int, ...] = (4, 2, 16, 64), **options: Any) -> bytes:
    chosen = {"model": MODEL, "dtype": "float32", "max_model_len": 512, **options}
    config = EngineArgs(**chosen).create_engine_config()
    caches = {f"layer{number}": torch.zeros(layout) for number in range(2)}
    return identity_of(engine_facts(config, caches))


@pytest.fixture(scope="module")
def before() -> bytes:
    return identity()


def test_it_is_the_same_as_long_as_nothing_differs(before: bytes) -> None:
    """Nor does it matter how much memory the engine has, or how many it serves at once."""
    assert identity((8, 2, 16, 64), max_num_seqs=3, max_model_len=1024) == before


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "bfloat16"},
        {"block_size": 64},
        {"layout": (4, 2, 32, 32)},
        {"load_format": "dummy"},
        {"hf_overrides": {"rope_theta": 1.0}},
    ],
    ids=str,
)
def test_it_is_another_with_another(options: dict[str, Any], before: bytes) -> None:
    assert identity(**options) != before


def test_it_is_another_with_other_weights(tmp_path: Path, before: bytes) -> None:
    for file in Path(MODEL).iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert identity(model=str(tmp_path)) == before
    weights = tmp_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 3] ^= 1
    weights.unlink()
    weights.write_bytes(data)
    assert identity(model=str(tmp_path)) != before
