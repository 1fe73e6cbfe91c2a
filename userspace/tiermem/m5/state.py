"""What outlives the daemon: totals, what the policy learnt, and what it must give back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from tiermem.m5.rounds import Totals
from tiermem.service.state import StateFile


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

    def to_give_back(self) -> dict[str, Any]:
        """The fields that say what of the host is to be given back."""
        return {name: getattr(self, name) for name in _TO_GIVE_BACK}


_TO_GIVE_BACK = ("switches_found", "switches_ours")


class Memory:
    """The state file of one run; `found` is what the run before left in it.

    A trial run leaves the file as it was found: what it learns is no part of
    the service's history. Only what it changes on the host is in there meanwhile.
    """

    def __init__(self, path: Path, *, is_trial: bool) -> None:
        self._file = StateFile(path, SavedState)
        self._is_trial = is_trial
        loaded = self._file.load()
        self._is_new = loaded is None
        self.found = loaded or SavedState()
        self._on_disk = self.found

    def save(self, state: SavedState) -> None:
        """Write it; TiermemError when that failed."""
        if not self._is_trial:
            self._file.save(state)
            return
        state = self.found.model_copy(update=state.to_give_back())
        if state == self._on_disk:
            return
        if self._is_new and state == self.found:
            self._file.remove()
        else:
            self._file.save(state)
        self._on_disk = state.model_copy(deep=True)
