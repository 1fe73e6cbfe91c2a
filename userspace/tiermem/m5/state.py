"""What outlives the daemon: totals, what the policy learnt, and the switches it must give back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, Field

from tiermem.m5.rounds import Totals


class SavedState(BaseModel):
    """m5.json. `switches_found` is empty unless the last run was cut off."""

    totals: dict[str, Any] = Field(default_factory=dict)
    policy_name: str = ""
    policy: dict[str, Any] = Field(default_factory=dict)
    switches_found: dict[str, str] = Field(default_factory=dict)
    switches_ours: dict[str, str] = Field(default_factory=dict)

    def read_totals(self) -> Totals:
        """The totals; a field that this version does not know is dropped."""
        known = asdict(Totals())
        kept = {
            name: value
            for name, value in self.totals.items()
            if name in known and isinstance(value, type(known[name]))
        }
        return Totals(**kept)
