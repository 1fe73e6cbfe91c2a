"""Which promoter a host gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError, NoRightError
from tiermem.layer.sysfs import Tree
from tiermem.m5 import make_parts
from tiermem.m5.make_parts import make_promoter
from tiermem.m5.settings import PromoterSettings


def test_without_the_module_pages_move_by_address_unless_the_config_insists(
    tmp_path: Path,
) -> None:
    tree = Tree(tmp_path, tmp_path)
    settings = PromoterSettings(device=tmp_path / "absent")
    assert make_promoter(settings, tree).name == "move-pages"
    with pytest.raises(MissingError):
        make_promoter(settings.model_copy(update={"kind": "module"}), tree)


def test_a_module_that_may_not_be_used_is_said_and_not_gone_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise NoRightError(f"{path} cannot be opened")

    monkeypatch.setattr(make_parts, "FramePromoter", refuse)
    with pytest.raises(NoRightError):
        make_promoter(PromoterSettings(), Tree(tmp_path, tmp_path))
