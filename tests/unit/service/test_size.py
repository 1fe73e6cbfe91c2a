"""Sizes as people write them, and as they are shown."""

from __future__ import annotations

import pytest
from tiermem.service.size import size_bytes, size_text


@pytest.mark.parametrize(
    ("text", "size"), [("4096", 4096), ("512M", 512 << 20), ("10g", 10 << 30), ("2T", 2 << 40)]
)
def test_units_are_of_1024(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "G", "1.5G", "1GB", 7, None, "1²"])
def test_anything_else_is_told_what_is_allowed(text: object) -> None:
    with pytest.raises(ValueError, match="must be a number, with K, M, G or T"):
        size_bytes(text)


def test_what_is_shown() -> None:
    assert [size_text(one) for one in (12, 1536, 10 << 30)] == ["12 B", "1.5 KiB", "10.0 GiB"]
