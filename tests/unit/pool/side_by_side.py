"""Hosts on the model at work at once, and what is true of a pool that they leave."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tiermem.native._pool_model import lib

from tests.unit.pool.modelled import (
    FREE,
    History,
    Host,
    KilledError,
    Model,
    WrongError,
    content_of,
)


def open_hosts(model: Model) -> list[Host]:
    history = History()
    hosts = [Host(model, number, history) for number in range(model.hosts)]
    for host in hosts:
        host.begin()
    return hosts


def all_see(hosts: list[Host]) -> None:
    """What was acknowledged is there, for everybody."""
    for host in hosts:
        for name, content in host.history.live.items():
            if host.read(name) != content:
                raise WrongError(f"host {host.number} reads another {name}")


def all_comes_back(hosts: list[Host], names: str = "abc") -> None:
    """Once all names are removed, no entry is left, for whoever looks."""
    for name in names:
        hosts[-1].remove(name)
    for host in (*hosts, *hosts):
        host.collect()
    for owner in hosts:
        for looker in hosts:
            states = looker.states(owner.number)
            if states != [FREE] * len(states):
                raise WrongError(f"host {looker.number} sees host {owner.number} leak: {states}")


def work(host: Host, rng: random.Random, steps: int, names: str = "abc") -> None:
    """Random calls."""
    for _ in range(steps):
        name = rng.choice(names)
        act = rng.random()
        if act < 0.35:
            host.publish(name, content_of(rng))
        elif act < 0.7:
            host.read(name, pause=host.collect if rng.random() < 0.5 else lambda: None)
        elif act < 0.8:
            host.remove(name)
        elif act < 0.9:
            host.states(rng.randrange(host.model.hosts))
        else:
            host.collect()


def run_side_by_side(model: Model, *jobs: tuple[Host, Callable[[], None]]) -> None:
    """Each host's job in a thread of its own; raises what one of them raised.

    Once something went wrong, the others' jobs are stopped too.
    """
    errors: list[BaseException] = []

    def run(host: Host, job: Callable[[], None]) -> None:
        lib.pool_model_enter(model.raw, host.number)
        try:
            job()
        except KilledError:
            pass
        except BaseException as error:
            errors.append(error)
            for other in range(model.hosts):
                model.kill_after(other, 0, with_cache=False)
        finally:
            lib.pool_model_leave(model.raw, host.number)

    lib.pool_model_expect(model.raw, len(jobs))
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
