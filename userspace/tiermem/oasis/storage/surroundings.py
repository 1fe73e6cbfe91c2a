"""What all volumes of a daemon have in common, and what no two slices have."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.pool import Pool
from tiermem.oasis.storage.ublk import OWNERS


def new_slice_id() -> int:
    """One that no slice has had."""
    return secrets.randbelow(OWNERS - 1) + 1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of all volumes of a daemon. ring: asks for a step of the engine's thread."""

    pool: Pool
    host: int
    life: int
    device_dir: Path
    ring: Callable[[], None]
