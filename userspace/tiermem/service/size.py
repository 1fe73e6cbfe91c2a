"""Sizes as people say them (`10G`), in bytes."""

from __future__ import annotations

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_bytes(text: object) -> int:
    """Of `512M`, `8G`, `4096`; units are of 1024. ValueError for anything else."""
    if isinstance(text, str):
        digits = text.rstrip("KMGTkmgt")
        unit = text[len(digits) :].upper()
        if digits.isdecimal() and unit in _UNITS and int(digits) > 0:
            return int(digits) * _UNITS[unit]
    raise ValueError("must be a number, with K, M, G or T behind it or not")


def size_text(size: int) -> str:
    """The same, the other way, with a digit behind the point."""
    for unit in ("T", "G", "M", "K"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.1f} {unit}iB"
    return f"{size} B"
