"""The pool's own code on hosts whose caches are not coherent, interrupted at any access."""

from __future__ import annotations

import itertools
import random

import pytest
from tiermem.native._pool_model import lib

from tests.unit.pool.modelled import (
    FREE,
    INTENT,
    RESERVED,
    Chances,
    History,
    Host,
    KilledError,
    Model,
    content_of,
)
from tests.unit.pool.scenarios import SCENARIOS, Scenario, survives

SEEDS = 40
SEEDS_TO_MISS_IT = 400


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_nothing_wrong_is_seen(scenario: Scenario) -> None:
    for seed in range(SEEDS):
        scenario(seed, 0)


def test_every_write_back_invalidation_and_fence_is_needed() -> None:
    sites = {site for one in SCENARIOS for seed in range(8) for site in one(seed, 0).sites()}
    assert len(sites) > 20
    tries = list(itertools.product(range(SEEDS_TO_MISS_IT), SCENARIOS))
    not_missed = [
        site
        for site in sorted(sites)
        if all(survives(scenario, seed, site) for seed, scenario in tries)
    ]
    assert not_missed == []


def _accesses(model: Model) -> int:
    return int(lib.pool_model_accesses(model.raw, 0))


def _replace(host: Host, rng: random.Random) -> None:
    """All that writes: an extent goes, its space is taken again, another name comes."""
    host.remove("old")
    host.collect()
    host.publish("new", content_of(rng))


def _killed_at(number: int | None, *, with_cache: bool, seed: int = 3) -> tuple[Model, int]:
    """A pool with "kept" and "old", whose host is killed at an access of _replace."""
    rng = random.Random(seed)
    model = Model(seed=seed, chances=Chances(turn=0))
    history = History()
    host = Host(model, 0, history)
    host.begin()
    host.publish("kept", content_of(rng))
    host.publish("old", content_of(rng))
    before = _accesses(model)
    if number is not None:
        model.kill_after(0, number, with_cache=with_cache)
    try:
        _replace(host, rng)
    except KilledError:
        assert number is not None
    took = _accesses(model) - before
    model.revive(0)
    again = Host(model, 0, history)
    again.begin()
    kept = history.live["kept"]
    assert again.read("kept") == kept
    found = [again.read(name) for name in ("old", "new")]
    assert all(content is None or content in history.contents.values() for content in found)
    if "new" in history.live:
        assert found[1] == history.live["new"]
    assert not {RESERVED, INTENT} & set(again.states(0))
    other = Host(model, 1, history)
    other.begin()
    assert [other.read(name) for name in ("kept", "old", "new")] == [kept, *found]
    for name in ("kept", "old", "new"):
        again.remove(name)
    again.collect()
    assert again.states(0) == other.states(0) == [FREE] * model.entries
    return model, took


@pytest.mark.parametrize("with_cache", [True, False], ids=["power cut", "process killed"])
def test_a_host_may_be_killed_at_any_access(with_cache: bool) -> None:
    _, accesses = _killed_at(None, with_cache=with_cache)
    assert accesses > 100
    for number in range(accesses):
        for seed in (3, 4, 5):
            _killed_at(number, with_cache=with_cache, seed=seed)
