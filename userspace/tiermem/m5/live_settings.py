"""Which settings of a config read again may take effect at once: key by key, by SETTABLE."""

from __future__ import annotations

from typing import Any, TypeVar

from tiermem.m5.settable import is_settable
from tiermem.m5.settings import M5Settings
from tiermem.service.config import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)
# In tables that are live as a whole: this decides which lists the tracker makes.
_NEEDS_RESTART = ("nominator.mode",)


def is_live(key: str) -> bool:
    """Whether the dotted `key`, of one value, may change while the daemon runs."""
    return is_settable(key) and key not in _NEEDS_RESTART


def keep_fixed(old: M5Settings, new: M5Settings) -> tuple[M5Settings, list[str]]:
    """`new` with every key that needs a restart as in `old`, and those of them that differ."""
    return _keep_fixed(old, new, "")


def _keep_fixed(old: SettingsT, new: SettingsT, prefix: str) -> tuple[SettingsT, list[str]]:
    kept: dict[str, Any] = {}
    differ: list[str] = []
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Settings) and isinstance(after, Settings):
            kept[name], below = _keep_fixed(before, after, f"{prefix}{name}.")
            differ += below
        elif before != after and not is_live(prefix + name):
            kept[name] = before
            differ.append(prefix + name)
    return new.model_copy(update=kept), differ
