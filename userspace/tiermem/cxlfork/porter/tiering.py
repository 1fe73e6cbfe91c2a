"""Which policy a function's next clones are restored with: by its latency and the node's memory.

MoW takes least local memory, HT more, MoA most; warm calls are fastest the other way
round. CXLporter moves a function along that order by how well it meets its objective
and by memory pressure (ASPLOS 2025, "dynamic policy"). Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pydantic import Field

from tiermem.cxlfork.policies import Policy
from tiermem.service.config import Settings

ORDER = (Policy.MOW, Policy.HT, Policy.MOA)
"""From least to most local memory."""


class TieringSettings(Settings):
    """[tiering]"""

    attained_share: float = Field(default=0.99, gt=0, le=1)
    calls: int = Field(default=50, ge=1, le=10_000)
    roomy_share: float = Field(default=0.70, ge=0, le=1)
    pressed_share: float = Field(default=0.90, ge=0, le=1)


@dataclass
class PolicyChooser:
    """Of one function.

    Every `calls` calls it looks back on them. Objectives missed, and memory to spare: one
    step towards more local memory. Memory short: one step back, whatever the objective.
    """

    settings: TieringSettings
    policy: Policy = Policy.MOW
    _met: deque[bool] = field(default_factory=deque)

    def note(self, met_objective: bool, used_share: float) -> Policy:
        """A call has ended; used_share: of the node's memory. The policy from now on."""
        self._met.append(met_objective)
        if len(self._met) >= self.settings.calls:
            attained = sum(self._met) / len(self._met)
            self._met.clear()
            self._step(attained, used_share)
        return self.policy

    def _step(self, attained: float, used_share: float) -> None:
        place = ORDER.index(self.policy)
        if used_share >= self.settings.pressed_share:
            place -= 1
        elif attained < self.settings.attained_share and used_share < self.settings.roomy_share:
            place += 1
        self.policy = ORDER[min(max(place, 0), len(ORDER) - 1)]
