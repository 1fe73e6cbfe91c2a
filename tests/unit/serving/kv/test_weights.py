"""Weights are told from others by what is in their files, and by nothing else."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiermem.serving.kv.weights import weights_of

SIZE = 1 << 20


def of(place: Path) -> str:
    return weights_of(str(place), None, None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(os.urandom(SIZE))
    return folder


def test_neither_the_place_nor_the_age_nor_other_files_count(model: Path, tmp_path: Path) -> None:
    before = of(model)
    moved = model.rename(tmp_path / "elsewhere")
    os.utime(moved / "a.safetensors", (0, 0))
    (moved / "README.md").write_text("of nothing")
    assert of(moved) == before


@pytest.mark.parametrize("at", [0, 123_457, SIZE - 1])
def test_one_byte_makes_another_model(model: Path, at: int) -> None:
    before, path = of(model), model / "b.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert of(model) != before


def test_weights_trained_further_are_others(model: Path) -> None:
    before = of(model)
    (model / "a.safetensors").write_bytes(os.urandom(SIZE))
    assert of(model) != before


def test_a_file_more_or_of_another_length_makes_another_model(model: Path) -> None:
    seen = {of(model)}
    (model / "c.bin").write_bytes(b"")
    seen.add(of(model))
    (model / "c.bin").write_bytes(b"\0")
    seen.add(of(model))
    assert len(seen) == 3


def test_a_file_may_be_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"1" * 100)
    before = of(path)
    assert of(path) == before
    path.write_bytes(b"2" * 100)
    assert of(path) != before


def test_of_a_hubs_model_the_files_that_are_here_count(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def snapshot_download(*name: str, **options: object) -> str:
        asked.append((*name, *options.items()))
        return str(model)

    hub(monkeypatch, snapshot_download)
    assert weights_of("org/name", "v1", "/cache") == of(model)
    assert asked == [
        ("org/name", ("revision", "v1"), ("cache_dir", "/cache"), ("local_files_only", True))
    ]


def test_weights_that_nobody_can_look_at_are_like_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def snapshot_download(*_name: str, **_options: object) -> str:
        raise FileNotFoundError

    hub(monkeypatch, snapshot_download)
    with caplog.at_level(logging.WARNING):
        seen = {weights_of(name, None, None) for name in ("org/name", str(tmp_path))}
        seen |= {weights_of(name, None, None) for name in ("org/name", str(tmp_path))}
    assert len(seen) == 4
    assert "org/name: its weights are not found as files" in caplog.text


def hub(monkeypatch: pytest.MonkeyPatch, snapshot_download: object) -> None:
    """The hub's library, which is not there without vLLM."""
    library, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    library.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    errors.HFValidationError = ValueError  # type: ignore[attr-defined]
    errors.LocalEntryNotFoundError = FileNotFoundError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
