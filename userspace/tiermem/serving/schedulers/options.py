"""What may be set of the schedulers, in vLLM's own `--additional-config`:

    --additional-config '{"tiermem": {"flashgen_sched": {"headroom": 0.02}}}'

What else is in there, and in its `tiermem`, belongs to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field

from tiermem.errors import ConfigError
from tiermem.service.config import Settings, validate

SOURCE = "--additional-config"


class FlashGenOptions(Settings):
    """headroom: the share of KV memory that promoted requests leave free to grow into.
    window: how many requests behind a deferred one are looked at in a step."""

    headroom: float = Field(default=0.005, ge=0, lt=1)
    window: int = Field(default=64, ge=0)


class PrefillOnlyOptions(Settings):
    """fairness: λ, the seconds of prefill that a second of waiting outweighs.
    assumed_tokens_per_s: how fast prefills are taken to be before any was measured."""

    fairness: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    assumed_tokens_per_s: float = Field(default=2000, gt=0, allow_inf_nan=False)


OptionsT = TypeVar("OptionsT", bound=Settings)


def read_options(additional: Any, name: str, model: type[OptionsT]) -> OptionsT:
    """The options called `name`; ConfigError names what is wrong, and what is allowed."""
    where = f"{SOURCE}: tiermem"
    ours = _table(_table(additional, SOURCE).get("tiermem"), where).get(name)
    return validate(_table(ours, f"{where}.{name}"), model, source=f"{where}.{name}")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {value!r} is not a JSON object")
    return value
