"""The policy interface, its registry, and how a user's own class is found.

A policy is one class: `decide` looks at a round's observation and says which
pages to promote and when to look again; `settle` hears what became of them.
It does no I/O and keeps its own state, so the daemon and `tiermem replay` run
the same object. docs/writing-a-policy.md walks through one.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pydantic import Field

from tiermem.errors import ConfigError
from tiermem.m5.elector import ElectorSettings
from tiermem.m5.nominator import NominatorSettings
from tiermem.m5.observation import Decision, Observation, Outcome
from tiermem.service.config import Settings


class PolicySettings(Settings):
    """What the daemon's config hands to a policy: [policy], [nominator], [elector].

    `options` is [policy.options], free for a user's own policy.
    """

    nominator: NominatorSettings = Field(default_factory=NominatorSettings)
    elector: ElectorSettings = Field(default_factory=ElectorSettings)
    options: dict[str, Any] = Field(default_factory=dict)


class Policy(ABC):
    """Base of every policy. One instance lives as long as the daemon."""

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings

    @abstractmethod
    def decide(self, seen: Observation) -> Decision:
        """Judge this round's candidates; must not promote more than `seen.budget_pages`."""

    def settle(self, outcome: Outcome) -> None:  # noqa: B027 (optional)
        """Learn which pages of the last decision moved. The default ignores it."""

    def reconfigure(self, settings: PolicySettings) -> None:
        """Take new settings without losing what was learnt."""
        self.settings = settings

    def snapshot(self) -> dict[str, Any]:
        """State worth keeping over a restart, as JSON-able values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027 (optional)
        """Take back what `snapshot` gave; unknown keys are ignored."""


PolicyFactory = Callable[[PolicySettings], Policy]
_REGISTRY: dict[str, PolicyFactory] = {}


def register_policy(name: str) -> Callable[[PolicyFactory], PolicyFactory]:
    """Class decorator: make a policy known by a short name."""

    def add(factory: PolicyFactory) -> PolicyFactory:
        if name in _REGISTRY:
            raise ValueError(f"policy {name!r} is registered twice")
        _REGISTRY[name] = factory
        return factory

    return add


def policy_names() -> list[str]:
    """Short names of the built-in policies."""
    importlib.import_module("tiermem.m5.density_policy")
    return sorted(_REGISTRY)


def load_policy(name: str, settings: PolicySettings) -> Policy:
    """Make the policy called `name`: a registered name, or "package.module:Class".

    Raises ConfigError naming what is wrong: unknown name, module that cannot
    be imported, class that is absent or is no Policy.
    """
    known = policy_names()
    if ":" not in name:
        if name not in known:
            raise ConfigError(
                f"policy.name = {name!r}: is not known; allowed: {', '.join(known)}, "
                "or 'module:Class'"
            )
        return _REGISTRY[name](settings)
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise ConfigError(
            f"policy.name = {name!r}: cannot import {module_name!r}: {error}"
        ) from error
    factory = getattr(module, class_name, None)
    if not (isinstance(factory, type) and issubclass(factory, Policy)):
        raise ConfigError(
            f"policy.name = {name!r}: {module_name!r} has no class {class_name!r} "
            f"derived from tiermem.m5.policy.Policy"
        )
    try:
        return factory(settings)
    except Exception as error:
        raise ConfigError(
            f"policy.name = {name!r}: {class_name} cannot be made: {error}"
        ) from error
