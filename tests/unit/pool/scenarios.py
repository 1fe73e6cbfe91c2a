"""What hosts without coherence go through, from one seed each; WrongError for what cannot be.

`left_out`: a write-back, invalidation or fence that is not done (0: all are).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tiermem.native._pool_model import ffi, lib

from tests.unit.pool.area_scenarios import AREA_SCENARIOS
from tests.unit.pool.modelled import FREE, Chances, Host, KilledError, Model, WrongError, content_of
from tests.unit.pool.side_by_side import (
    all_comes_back,
    all_see,
    open_hosts,
    run_side_by_side,
    work,
)

Scenario = Callable[[int, int], Model]


def working(seed: int, left_out: int = 0) -> Model:
    """Two hosts publish, read, remove and collect at random."""
    model = Model(seed=seed, left_out=left_out)
    hosts = open_hosts(model)
    run_side_by_side(
        model,
        *(
            (host, partial(work, host, random.Random(seed * 16 + host.number), 25))
            for host in hosts
        ),
    )
    all_see(hosts)
    all_comes_back(hosts)
    return model


def rebooting(seed: int, left_out: int = 0) -> Model:
    """One of two hosts is killed, by a power cut or as a process, and comes back."""
    rng = random.Random(seed)
    model = Model(seed=seed, left_out=left_out)
    hosts = open_hosts(model)
    model.kill_after(1, rng.randrange(2000), with_cache=rng.random() < 0.5)
    # Names of its own, since a claim that its maker does not live to settle is waited for.
    run_side_by_side(
        model,
        (hosts[0], lambda: work(hosts[0], random.Random(seed + 1), 12, names="ab")),
        (hosts[1], lambda: work(hosts[1], random.Random(seed + 2), 25, names="c")),
    )
    model.revive(1)
    hosts[1] = Host(model, 1, hosts[0].history)
    hosts[1].begin()
    all_see(hosts[:1])
    all_comes_back(hosts)
    for beat in (seed + 5, seed + 6):
        hosts[1].beat(beat)
        if hosts[0].looks_at(hosts[1]) != (beat, hosts[1].name):
            raise WrongError("another host's word of itself does not arrive")
    return model


def holding_and_rebooting(seed: int, left_out: int = 0) -> Model:
    """What a host held before it came back is not held any more, from the first moment on."""
    model = Model(seed=seed, left_out=left_out)
    hosts = open_hosts(model)
    rng = random.Random(seed)
    for name in "abc":
        hosts[0].publish(name, content_of(rng))
        found = hosts[1].find(name)
        if found is None or lib.pool_model_hold(hosts[1].pool, found[0]) != lib.POOL_OK:
            raise WrongError(f"{name} cannot be held")
        hosts[0].remove(name)
    hosts[0].collect()
    if hosts[0].states(0).count(FREE) != model.entries - 3:
        raise WrongError("what is held was freed")
    hosts[1] = Host(model, 1, hosts[0].history)
    hosts[1].begin()
    hosts[0].collect()
    if hosts[0].states(0).count(FREE) != model.entries:
        raise WrongError("what a host's last life held is still held")
    return model


def adopting(seed: int, left_out: int = 0) -> Model:
    """A host is killed, another cleans up after it, and it comes back, perhaps meanwhile."""
    rng = random.Random(seed)
    chances = Chances(turn=300, evict=rng.choice((0, 20)), settle=rng.choice((5, 100)))
    model = Model(seed=seed, left_out=left_out, chances=chances)
    hosts = open_hosts(model)
    looks = rng.randrange(6)
    model.kill_after(1, rng.randrange(1500), with_cache=rng.random() < 0.3)
    run_side_by_side(
        model,
        (hosts[0], lambda: [hosts[0].states(1) for _ in range(looks)]),
        (hosts[1], lambda: work(hosts[1], rng, 40)),
    )
    hosts[0].takes_for_dead(1)
    model.revive(1)
    back = Host(model, 1, hosts[0].history)

    def clean_up() -> None:
        hosts[0].adopt(1)
        hosts[0].states(1)

    def come_back() -> None:
        back.begin()
        work(back, random.Random(seed + 3), 8)

    if rng.random() < 0.5:
        run_side_by_side(model, (hosts[0], clean_up), (back, come_back))
    else:
        run_side_by_side(model, (hosts[0], clean_up))
        if {1, 2} & set(hosts[0].states(1)):
            raise WrongError("what a dead host had begun is still there")
        run_side_by_side(model, (back, come_back))
    hosts[0].pool.dead_hosts = 0
    all_see([hosts[0], back])
    all_comes_back([hosts[0], back])
    return model


def adopted_while_cached(seed: int, left_out: int = 0) -> Model:
    """A process is killed, its host's cache is not, and another host cleans up meanwhile."""
    model = Model(seed=seed, left_out=left_out, chances=Chances(evict=0, settle=20))
    hosts = open_hosts(model)
    rng = random.Random(seed)
    for name in "abc":
        hosts[1].publish(name, content_of(rng))
    hosts[0].takes_for_dead(1)
    for name in "abc":
        hosts[0].remove(name)
    hosts[0].adopt(1)
    back = Host(model, 1, hosts[0].history)
    back.begin()
    if any(back.find(name) for name in "abc") or any(back.states(1)):
        raise WrongError("what another host freed is still seen")
    return model


def formatting(seed: int, left_out: int = 0) -> Model:
    """A pool is made over an old one, and its maker may be cut off in between."""
    rng = random.Random(seed)
    model = Model(
        seed=seed, left_out=left_out, chances=Chances(settle=20, evict=rng.choice((0, 60)))
    )
    whole = int(lib.pool_model_accesses(model.raw, 0))
    hosts = open_hosts(model)
    for name in "abc":
        hosts[0].publish(name, content_of(rng))
    is_cut = rng.random() < 0.7
    if is_cut:
        begin = rng.choice((0, whole - 6))
        model.kill_after(0, rng.randrange(begin, whole), with_cache=True)
    done = model.format(0, 6, b"second")
    looker = Host.__new__(Host)
    looker.model, looker.number, looker.history = model, 1, hosts[1].history
    looker.pool = ffi.new("struct pool *")
    result = lib.pool_model_attach(looker.pool, hosts[1].memory, 1)
    if done and result != lib.POOL_OK:
        raise WrongError("a pool that was made is not there")
    if result == lib.POOL_DAMAGED:
        raise WrongError("half a superblock is seen")
    if result != lib.POOL_OK:
        return model
    is_new = ffi.string(ffi.cast("char *", looker.pool.super.uuid)) == b"second"
    if done and not is_new:
        raise WrongError("the old superblock is seen")
    if is_new:
        for host in range(model.hosts):
            if any(looker.states(host)):
                raise WrongError("a new pool is not empty")
    else:
        all_see([looker])
    return model


def naming(seed: int, left_out: int = 0) -> Model:
    """A name is not taken by an entry that had it in an earlier life."""
    model = Model(
        seed=seed, left_out=left_out, chances=Chances(evict=250, settle=10, turn=400), entries=1
    )
    hosts = open_hosts(model)
    rng = random.Random(seed)
    turn = {"name": "", "number": 0}

    def alternate() -> None:
        for number in range(12):
            name = "pq"[number % 2]
            turn["name"], turn["number"] = name, number
            hosts[0].publish(name, content_of(rng))
            turn["name"] = "pq"
            hosts[0].remove(name)
            hosts[0].collect()

    def publish_the_other() -> None:
        for _ in range(12):
            before = dict(turn)
            wanted = {"p": "q", "q": "p"}.get(str(turn["name"]))
            if wanted is None:
                hosts[1].states(0)
                continue
            is_published = hosts[1].publish(wanted, content_of(rng))
            if not is_published and turn == before:
                raise WrongError(f"{wanted} is taken by nobody")
            hosts[1].remove(wanted)
            hosts[1].collect()

    run_side_by_side(model, (hosts[0], alternate), (hosts[1], publish_the_other))
    return model


SCENARIOS: tuple[Scenario, ...] = (
    working,
    rebooting,
    holding_and_rebooting,
    adopting,
    adopted_while_cached,
    formatting,
    naming,
    *AREA_SCENARIOS,
)


def survives(scenario: Scenario, seed: int, left_out: int) -> bool:
    """Whether nothing wrong was seen."""
    try:
        scenario(seed, left_out)
    except (WrongError, KilledError):
        return False
    return True
