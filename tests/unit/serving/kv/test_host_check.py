"""What a host can give the tiers, told before an engine starts, and without a trace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import ConfigError, MissingError, NoSpaceError, TiermemError
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.pool import create_pool
from tiermem.layer.sysfs import Tree
from tiermem.serving.kv.host_check import check_host
from tiermem.serving.kv.settings import read_settings

from tests.unit.serving.kv.tiers import open_store, put


def remarks(**more: Any) -> list[str]:
    settings = read_settings({"memory": {"capacity": "1MiB", "nodes": [0]}, **more})
    return [remark.text for remark in check_host(settings)]


def on_ssd(path: Path, capacity: str = "1MiB") -> list[str]:
    return remarks(ssd={"path": str(path), "capacity": capacity})


def test_a_file_that_will_be_made_is_not_made_yet(tmp_path: Path) -> None:
    memory, ssd, *_ = on_ssd(tmp_path / "kv")
    assert "1.0 MiB of" in memory
    assert ssd.endswith("which will be made")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_an_engine_before_is_known(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 4, 16)
    put(store, [1, 2])
    assert store.flush(60)
    with pytest.raises(ConfigError, match="another process has it open"):
        on_ssd(tmp_path / "kv")
    store.close()
    before = (tmp_path / "kv").read_bytes()
    _, ssd, *_ = on_ssd(tmp_path / "kv")
    assert "what fits the engine is used on" in ssd
    assert (tmp_path / "kv").read_bytes() == before


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear friend,")
    (tmp_path / "link").symlink_to(tmp_path / "letter")
    os.mkfifo(tmp_path / "pipe")
    for name, error, said in (
        ("letter", ConfigError, "is a file of something else"),
        ("link", ConfigError, "cannot be opened"),
        ("pipe", ConfigError, "is no ordinary file"),
        (".", ConfigError, "is a folder"),
        ("none/kv", MissingError, "mkdir -p"),
    ):
        with pytest.raises(error, match=said):
            on_ssd(tmp_path / name)
    assert (tmp_path / "letter").read_text() == "Dear friend,"


def test_a_disk_that_is_too_small_is_a_remark(tmp_path: Path) -> None:
    assert any("has room for" in text for text in on_ssd(tmp_path / "kv", "1000TiB"))


def test_cxl_memory_is_looked_at_as_well() -> None:
    texts = remarks(cxl={"capacity": "1MiB", "nodes": [0]})
    assert ["1.0 MiB of" in text for text in texts] == [True, True]
    with pytest.raises(NoSpaceError, match=r"cxl\.capacity = .* can give"):
        remarks(cxl={"capacity": "1000TiB", "nodes": [0]})
    # Each would fit by itself.
    most = room_bytes([0], Tree()) * 6 // 10
    both = {"capacity": most, "nodes": [0]}
    remarks(memory=both)
    with pytest.raises(NoSpaceError, match=r"cxl\.capacity"):
        remarks(memory=both, cxl=both)


def test_memory_that_is_not_there() -> None:
    with pytest.raises(NoSpaceError, match="can give"):
        remarks(memory={"capacity": "1000TiB", "nodes": [0]})
    with pytest.raises(TiermemError, match="node 77"):
        remarks(memory={"capacity": "1MiB", "nodes": [77]})


def test_the_pool_is_opened_to_look(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    create_pool(path, hosts=2, size=8 << 20)
    pool = {"path": str(path), "host": 1, "capacity": "2MiB"}
    assert remarks(pool=pool)[1] == f"2.0 MiB of {path} as host 1 of 2"
    with pytest.raises(TiermemError, match="0 to 1 is allowed"):
        remarks(pool={**pool, "host": 2})
    assert "share" in remarks(pool={**pool, "capacity": "8MiB"})[2]
