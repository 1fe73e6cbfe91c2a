"""What hosts without coherence go through with areas: see scenarios.py."""

from __future__ import annotations

import random

from tiermem.native._pool_model import ffi, lib

from tests.unit.pool.modelled import Chances, Host, Model, WrongError, content_of, life_of
from tests.unit.pool.side_by_side import all_comes_back, all_see, open_hosts, run_side_by_side

LINE_BYTES, AREA_LINES = 64, 4


class AreaUser:
    """A host that uses areas as it should: it forgets one before it reads, and before it lets go.

    `stored`: the last word that was stored to a line, by the area's life and the line.
    """

    def __init__(self, host: Host, stored: dict[tuple[object, int], int]) -> None:
        self.host, self.stored = host, stored

    def create(self, name: str) -> bool:
        """Whether it was made; not where the directory is full."""
        reserved = self.host.reserve(AREA_LINES * LINE_BYTES)
        if reserved is None:
            return False
        extent, _ = reserved
        self.host.call(lib.pool_model_clear, extent, expect=(lib.POOL_OK,))
        claim = (extent, name.encode(), 0, lib.POOL_KIND_AREA, 8)
        self.host.call(lib.pool_model_claim, *claim, expect=(lib.POOL_OK,))
        if self.host.settle(extent) != lib.POOL_OK:
            raise WrongError(f"area {name} cannot be made")
        return True

    def visit(self, name: str, *, leaves: bool = True) -> None:
        """Read all lines of an area, and store to this host's own: that of its number.

        Nobody writes to the last lines. `leaves`: lets it go in the end.
        """
        found = self.host.find(name)
        if found is None:
            return
        extent, entry = found
        held = self.host.call(lib.pool_model_hold, extent, expect=(lib.POOL_OK, lib.POOL_ABSENT))
        if held == lib.POOL_ABSENT:
            return
        span = entry.offset, entry.bytes  # type: ignore[attr-defined]
        self.host.call(lib.pool_model_forget, *span)
        for line in range(AREA_LINES):
            self._check_line(extent, span[0], line)
        self._store(extent, span[0])
        if leaves:
            self.host.call(lib.pool_model_forget, *span)
            self.host.call(lib.pool_model_let_go, extent)

    def _store(self, extent: object, offset: int) -> None:
        line = self.host.number
        ours = (life_of(extent), line)
        word = self.stored.get(ours, line_word(extent, line)) + 1
        self.host.call(lib.pool_model_store_word, offset + line * LINE_BYTES, word)
        self.stored[ours] = word

    def _check_line(self, extent: object, offset: int, line: int) -> None:
        found = ffi.new("uint64_t *")
        self.host.call(lib.pool_model_load_word, offset + line * LINE_BYTES, found)
        last = self.stored.get((life_of(extent), line), 0)
        if line == self.host.number and found[0] != last:
            raise WrongError(f"host {line} stored {last:x} in an area and reads {found[0]:x}")
        if found[0] and not line_word(extent, line) < found[0] <= last:
            raise WrongError(f"line {line} of an area says {found[0]:x}, as it never did")


def line_word(extent: object, line: int) -> int:
    """What the words that are stored to a line count from: in no two lives the same."""
    return extent.generation << 24 | line << 16  # type: ignore[attr-defined]


def writing_to_areas(seed: int, left_out: int = 0) -> Model:
    """Two hosts write to areas, whose space is then an extent's, and an area's again."""
    rng = random.Random(seed)
    chances = Chances(evict=rng.choice((0, 60)), settle=rng.choice((2, 100)), turn=200)
    model = Model(seed=seed, left_out=left_out, chances=chances, entries=1)
    hosts = open_hosts(model)
    stored: dict[tuple[object, int], int] = {}
    users = [AreaUser(host, stored) for host in hosts]

    def use_the_space_again() -> None:
        for _ in range(8):
            if users[0].create("a"):
                users[0].visit("a")
            hosts[0].remove("a")
            hosts[0].collect()
            if hosts[0].publish("b", content_of(rng)):
                hosts[0].read("b", pause=lambda: hosts[0].states(1))
            hosts[0].remove("b")
            hosts[0].collect()

    def come_and_go() -> None:
        for _ in range(20):
            users[1].visit("a")
            hosts[1].read("b")

    run_side_by_side(model, (hosts[0], use_the_space_again), (hosts[1], come_and_go))
    all_comes_back(hosts, "ab")
    return model


def writing_to_an_area_when_killed(seed: int, left_out: int = 0) -> Model:
    """What a killed process stored to an area is nobody else's when its host comes back."""
    rng = random.Random(seed)
    model = Model(
        seed=seed, left_out=left_out, chances=Chances(evict=rng.choice((0, 20))), entries=1
    )
    hosts = open_hosts(model)
    AreaUser(hosts[0], {}).create("a")
    AreaUser(hosts[1], {}).visit("a", leaves=False)
    hosts[0].remove("a")
    hosts[0].collect()
    hosts[1] = Host(model, 1, hosts[0].history)
    hosts[1].begin()
    hosts[0].collect()
    if not hosts[0].publish("b", content_of(rng) + bytes(AREA_LINES * LINE_BYTES)):
        raise WrongError("an area's space does not come back")
    all_see(hosts[::-1])
    all_comes_back(hosts, "b")
    return model


AREA_SCENARIOS = (writing_to_areas, writing_to_an_area_when_killed)
