"""MAC addresses: text for people (`02:00:00:00:00:01`), numbers for the native code."""

from __future__ import annotations

import re

from tiermem.errors import TiermemError

_TEXT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)


def mac_number(text: str) -> int:
    """Its first byte on the wire is bits 40 to 47. TiermemError for anything else."""
    if not _TEXT.fullmatch(text):
        raise TiermemError(f"{text!r}: is no MAC address; wanted is aa:bb:cc:dd:ee:ff")
    return int(text.replace(":", ""), 16)


def mac_text(number: int) -> str:
    """The same, the other way."""
    return number.to_bytes(6, "big").hex(":")
