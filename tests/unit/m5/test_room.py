"""How room is made: chosen by what the kernel has, asked for in steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError
from tiermem.m5.room import make_room_maker
from tiermem.m5.settings import DemotionSettings
from tiermem.m5.switches import DEMOTION, WATERMARK_BOOST, WATERMARK_SCALE, Switches

from tests.unit.m5.trees import make_tree


def test_a_kernel_with_per_node_reclaim_is_asked_for_what_is_needed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    switches = Switches(tree)
    room = make_room_maker(DemotionSettings(method="reclaim"), (0,), switches)
    assert room.method == "reclaim"
    assert switches.read(DEMOTION) == "1"
    assert switches.read(WATERMARK_SCALE) == "10"
    assert room.make(100, swappiness=70) == 100
    asked = (tree.sysfs / "devices/system/node/node0/reclaim").read_text()
    assert asked == f"{100 * 4096} swappiness=70"


def test_an_older_kernel_gets_wider_watermarks(tmp_path: Path) -> None:
    switches = Switches(make_tree(tmp_path, has_reclaim=False))
    room = make_room_maker(DemotionSettings(watermark_scale_factor=150), (0,), switches)
    assert room.method == "kswapd"
    assert switches.read(WATERMARK_SCALE) == "150"
    assert switches.read(WATERMARK_BOOST) == "0"
    assert room.make(100, swappiness=70) == 0
    switches.restore()
    assert switches.read(WATERMARK_SCALE) == "10"
    assert switches.read(WATERMARK_BOOST) == "15000"


def test_wider_watermarks_of_somebody_else_stay(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, has_reclaim=False)
    (tree.proc / "sys/vm/watermark_scale_factor").write_text("500\n")
    switches = Switches(tree)
    make_room_maker(DemotionSettings(), (0,), switches)
    assert switches.read(WATERMARK_SCALE) == "500"


def test_off_changes_nothing(tmp_path: Path) -> None:
    switches = Switches(make_tree(tmp_path))
    assert make_room_maker(DemotionSettings(method="off"), (0,), switches).method == "off"
    assert switches.found == {}


def test_what_the_kernel_lacks_is_said(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, has_reclaim=False)
    with pytest.raises(MissingError, match=r"6\.17"):
        make_room_maker(DemotionSettings(method="reclaim"), (0,), Switches(tree))
    (tree.sysfs / "kernel/mm/numa/demotion_enabled").unlink()
    with pytest.raises(MissingError, match="cannot demote"):
        make_room_maker(DemotionSettings(), (0,), Switches(tree))
