"""Who may decide in a replay: no policy, the oracle, M5's variants, a user's own class."""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.errors import ConfigError
from tiermem.layer.tracker_config import ListKind
from tiermem.m5.policy import Policy, load_policy
from tiermem.m5.settings import M5Settings
from tiermem.service.config import with_change

_PAGES = frozenset({ListKind.HPT})
_LINES = frozenset({ListKind.HWT})
NO_LISTS: frozenset[ListKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Contender:
    """`lists`: what the policy reads from the device. `sees_all`: it gets exact counts
    instead. `mode`: the nominator's, where the contender is a variant of M5."""

    name: str
    lists: frozenset[ListKind] = NO_LISTS
    sees_all: bool = False
    mode: str | None = None
    policy: str | None = None
    """As `load_policy` takes it; None: the configured one, if the contender decides at all."""

    @property
    def decides(self) -> bool:
        """Whether there are rounds."""
        return bool(self.lists) or self.sees_all

    def make_policy(self, settings: M5Settings) -> Policy | None:
        """A fresh policy; ConfigError where it cannot be made."""
        if not self.decides:
            return None
        if self.mode is not None:
            settings = with_change(settings, "nominator.mode", self.mode)
        return load_policy(self.policy or settings.policy.name, settings.for_policy())


BUILT_IN = {
    one.name: one
    for one in (
        Contender("none"),
        Contender("m5-hpt", lists=_PAGES, mode="hpt"),
        Contender("m5-hwt", lists=_LINES, mode="hwt"),
        Contender("m5-hpt+hwt", lists=_PAGES | _LINES, mode="hpt+hwt"),
        Contender("oracle", sees_all=True, mode="hpt"),
    )
}


def find_contender(name: str) -> Contender:
    """A built-in contender, or "module:Class". ConfigError names what is allowed."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if ":" in name:
        return Contender(name, lists=_PAGES | _LINES, policy=name)
    raise ConfigError(
        f"--policy {name}: is not known; allowed: {', '.join(BUILT_IN)}, or 'module:Class'"
    )
