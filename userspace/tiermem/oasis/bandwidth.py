"""Bandwidths as people say them (`25Gbit`), and as the allocator counts them: bytes a second."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)bit(?:/s)?", re.IGNORECASE)
_SCALES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bandwidth_Bps(text: object) -> int:  # noqa: N802
    """Of `10Gbit`, `250Mbit`, as tc(8) has them. ValueError for anything else."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a bandwidth, such as "10Gbit" or "250Mbit"')
    return int(float(found[1]) * _SCALES[found[2].upper()] / 8)


def bandwidth_text(amount_Bps: int) -> str:  # noqa: N803
    """The same, the other way, with three digits."""
    bits = amount_Bps * 8
    for unit, scale in reversed(_SCALES.items()):
        # With three digits the rest of this unit's numbers are 1000 of the one below.
        if bits >= 0.9995 * scale:
            return f"{bits / scale:.3g}{unit}bit"
    return "0"


Bandwidth = Annotated[int, BeforeValidator(bandwidth_Bps)]
"""A setting: text in a config, bytes a second in the model."""
