"""How a restored process gets its pages: the three policies of CXLfork (ASPLOS 2025)."""

from __future__ import annotations

import enum


class Policy(enum.Enum):
    """See docs/cxlfork.md."""

    MOW = "mow"
    """Migrate on write: shared in CXL memory until written to."""
    MOA = "moa"
    """Migrate on access: copied to local memory at the first touch."""
    HT = "ht"
    """Hybrid tiering: as MOW; pages that were in use at the checkpoint are copied ahead."""
