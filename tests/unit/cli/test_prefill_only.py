"""`tiermem serving prefill-only`: what its help says without what it would have to load."""

from __future__ import annotations

from inspect import signature

from tiermem.cli.prefill_only import prefill_only
from tiermem.serving.prefill_only.budget import CHUNK_TOKENS
from tiermem.serving.schedulers.options import PrefillOnlyOptions


def test_defaults_are_those_of_the_server() -> None:
    said = {name: one.default for name, one in signature(prefill_only).parameters.items()}
    assert said["fairness"] == PrefillOnlyOptions().fairness
    assert said["chunk"] == CHUNK_TOKENS
