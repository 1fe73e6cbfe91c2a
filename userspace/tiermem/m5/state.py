"""What outlives the daemon: totals, what the policy learnt, and what it must give back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from tiermem.layer.sysfs import read_text
from tiermem.m5.rounds import Totals
from tiermem.service.state import StateFile


class SavedState(BaseModel):
    """m5.json. What is to be given back is empty unless the last run was cut off.

    `boot_id` is the boot that it belongs to: the next one starts with nothing changed.
    """

    totals: dict[str, Any] = Field(default_factory=dict)
    policy_name: str = ""
    policy: dict[str, Any] = Field(default_factory=dict)
    switches_found: dict[str, str] = Field(default_factory=dict)
    switches_ours: dict[str, str] = Field(default_factory=dict)
    tracker_found: dict[str, Any] = Field(default_factory=dict)
    boot_id: str = ""

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

    def of_boot(self, boot_id: str) -> SavedState:
        """This, as it holds in the boot `boot_id` (empty: unknown)."""
        changes: dict[str, Any] = {"boot_id": boot_id}
        if self.boot_id and boot_id and self.boot_id != boot_id:
            changes |= {"switches_found": {}, "switches_ours": {}, "tracker_found": {}}
        return self.model_copy(update=changes)


_TO_GIVE_BACK = ("switches_found", "switches_ours", "tracker_found")


class Memory:
    """The state file of one run; `found` is what the run before left in it.

    A trial run leaves the file as it was found: what it learns is no part of
    the service's history. Only what it changes on the host is in there meanwhile.
    """

    def __init__(self, path: Path, proc: Path, *, is_trial: bool) -> None:
        self._file = StateFile(path, SavedState)
        self._is_trial = is_trial
        loaded = self._file.load()
        self._is_new = loaded is None
        self._boot_id = read_text(proc / "sys/kernel/random/boot_id") or ""
        self.found = (loaded or SavedState()).of_boot(self._boot_id)
        self._on_disk = self.found

    def save(self, state: SavedState) -> None:
        """Write it; TiermemError when that failed."""
        if not self._is_trial:
            self._file.save(state.model_copy(update={"boot_id": self._boot_id}))
            return
        state = self.found.model_copy(update=state.to_give_back())
        if state == self._on_disk:
            return
        if self._is_new and state == self.found:
            self._file.remove()
        else:
            self._file.save(state)
        self._on_disk = state.model_copy(deep=True)
