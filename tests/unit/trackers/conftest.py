"""Streams of keys with the skew that hot pages have."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def skewed_keys() -> list[int]:
    """20000 keys out of 3000, a few of them very popular."""
    rng = np.random.default_rng(7)
    return (rng.zipf(1.3, 20000) % 3000 + 0x39_0000).tolist()
