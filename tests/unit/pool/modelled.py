"""Hosts of the pool on the model without coherence: their calls, and what must hold of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tiermem.native._pool_model import ffi, lib

ENTRIES = 4
# No scenario needs so many accesses: a host that makes them waits for ever.
TOO_MANY = 60_000
FREE, RESERVED, INTENT, PUBLISHED, CONDEMNED = range(5)


class WrongError(AssertionError):
    """Something happened that the pool promises cannot."""


class KilledError(Exception):
    """The host was stopped in the middle of a call."""


@dataclass(frozen=True)
class Chances:
    """In 1/1000 of the accesses: see incoherent.h; `turn`: another host goes on."""

    evict: int = 20
    prefetch: int = 50
    settle: int = 100
    turn: int = 100


class Model:
    """Memory, caches and a pool laid out in it."""

    def __init__(
        self,
        hosts: int = 2,
        seed: int = 1,
        chances: Chances | None = None,
        left_out: int = 0,
        entries: int = ENTRIES,
    ) -> None:
        chances = chances or Chances()
        size = (hosts + 1) << 21
        self.raw = ffi.gc(
            lib.pool_model_create(
                size, hosts, chances.evict, chances.prefetch, chances.settle, chances.turn, seed
            ),
            lib.pool_model_destroy,
        )
        self.hosts, self.entries = hosts, entries
        lib.pool_model_leave_out(self.raw, left_out)
        self.size = size
        for host in range(hosts):
            self.kill_after(host, TOO_MANY, with_cache=False)
        assert self.format(0, entries, b"first")

    def format(self, host: int, entries: int, uuid: bytes) -> bool:
        """Make a pool anew; False where the host was killed meanwhile."""
        self.super = ffi.new("struct pool_super *")
        self.super.hosts, self.super.entries, self.super.bytes = self.hosts, entries, self.size
        ffi.memmove(self.super.uuid, uuid, len(uuid))
        assert lib.pool_plan(self.super) == lib.POOL_OK
        memory = lib.pool_model_memory(self.raw, host)
        return int(lib.pool_model_format(memory, self.super)) == lib.POOL_OK

    def kill_after(self, host: int, accesses: int, *, with_cache: bool) -> None:
        """Stop a host for good, so many accesses from now."""
        lib.pool_model_kill_after(self.raw, host, accesses, with_cache)

    def revive(self, host: int) -> None:
        """Let a killed host go on, from nothing."""
        lib.pool_model_revive(self.raw, host)
        self.kill_after(host, TOO_MANY, with_cache=False)

    def sites(self) -> list[int]:
        """Write-backs, invalidations and fences that were come by."""
        found = ffi.new("int[1000]")
        count = lib.pool_model_sites(self.raw, found, 1000)
        return list(found[0:count])


@dataclass
class History:
    """What has been acknowledged, for all hosts to be held to."""

    contents: dict[bytes, bytes] = field(default_factory=dict)
    """By the mark that each content begins with."""
    live: dict[str, bytes] = field(default_factory=dict)
    """Name to content, from publication's return to removal's begin."""
    removals: int = 0
    removed: set[tuple[int, int, int]] = field(default_factory=set)
    """Lives of extents whose removal has begun, perhaps before their publication returned."""


class Host:
    """One host's process. Every method may raise KilledError or WrongError."""

    def __init__(self, model: Model, number: int, history: History | None = None) -> None:
        self.model, self.number = model, number
        self.history = history or History()
        self.memory = lib.pool_model_memory(model.raw, number)
        self.pool = ffi.new("struct pool *")
        self.call(lib.pool_model_attach, self.memory, number, expect=(lib.POOL_OK,))

    def call(self, function: Callable[..., int], *arguments: object, expect: tuple[int, ...] = ()):  # type: ignore[no-untyped-def]
        result = function(self.pool, *arguments)
        if result == lib.POOL_KILLED:
            raise KilledError
        if expect and result not in expect:
            raise WrongError(f"host {self.number}: {function} answers {result}")
        return result

    @property
    def name(self) -> bytes:
        return b"host%d" % self.number

    def begin(self) -> None:
        """Its first call; waits while another host cleans up after it."""
        expect = (lib.POOL_OK, lib.POOL_HELD)
        while self.call(lib.pool_model_begin, self.name, expect=expect) == lib.POOL_HELD:
            pass

    def beat(self, heartbeat: int) -> None:
        self.call(lib.pool_model_beat, heartbeat)

    def looks_at(self, host: Host) -> tuple[int, bytes]:
        """Another's heartbeat and name."""
        found = ffi.new("struct pool_host *")
        self.call(lib.pool_model_read_host, host.number, found)
        return found.heartbeat, ffi.string(found.name)

    def takes_for_dead(self, host: int) -> None:
        self.pool.dead_hosts |= 1 << host

    def adopt(self, host: int) -> None:
        self.call(lib.pool_model_adopt, host, ffi.new("uint32_t *"))

    def reserve(self, size: int) -> tuple[object, int] | None:
        """None where there is no space or no entry."""
        extent, offset = ffi.new("struct pool_extent *"), ffi.new("uint64_t *")
        result = self.call(
            lib.pool_model_reserve,
            size,
            self.number + 1,
            extent,
            offset,
            expect=(lib.POOL_OK, lib.POOL_NO_ENTRY),
        )
        return (extent, offset[0]) if result == lib.POOL_OK else None

    def settle(self, extent: object) -> int:
        while (result := self.call(lib.pool_model_settle, extent)) == lib.POOL_CONTENDED:
            pass
        return int(result)

    def publish(self, name: str, content: bytes) -> bool:
        """Whether it was published; not where the name is taken or the directory full."""
        reserved = self.reserve(len(content))
        if reserved is None:
            return False
        extent, offset = reserved
        self.history.contents[content[:8]] = content
        self.call(lib.pool_model_fill, offset, content, len(content))
        checksum = lib.pool_checksum(0, content, len(content))
        self.call(
            lib.pool_model_claim, extent, name.encode(), checksum, 7, 8, expect=(lib.POOL_OK,)
        )
        result = self.settle(extent)
        if result == lib.POOL_OK:
            if life_of(extent) not in self.history.removed:
                if name in self.history.live:
                    raise WrongError(f"{name} was published twice")
                self.history.live[name] = content
            return True
        if result != lib.POOL_EXISTS:
            raise WrongError(f"settling {name}: {result}")
        self.call(lib.pool_model_withdraw, extent, expect=(lib.POOL_OK,))
        return False

    def find(self, name: str) -> tuple[object, object] | None:
        extent, entry = ffi.new("struct pool_extent *"), ffi.new("struct pool_entry *")
        before, removals = name in self.history.live, self.history.removals
        result = self.call(
            lib.pool_model_find,
            name.encode(),
            extent,
            entry,
            expect=(lib.POOL_OK, lib.POOL_ABSENT),
        )
        if result == lib.POOL_OK:
            return extent, entry
        if before and removals == self.history.removals:
            raise WrongError(f"host {self.number} does not see {name}")
        return None

    def read(self, name: str, pause: Callable[[], object] = lambda: None) -> bytes | None:
        """What lies under a name, looked at twice; None where nothing does."""
        found = self.find(name)
        if found is None:
            return None
        extent, entry = found
        held = self.call(lib.pool_model_hold, extent, expect=(lib.POOL_OK, lib.POOL_ABSENT))
        if held == lib.POOL_ABSENT:
            return None
        first = self._look(entry)
        pause()
        if self._look(entry) != first:
            raise WrongError(f"{name} changed while it was held")
        self.call(lib.pool_model_let_go, extent)
        return first

    def _look(self, entry: object) -> bytes:
        into = ffi.new("char[]", entry.bytes)  # type: ignore[attr-defined]
        self.call(lib.pool_model_look, entry.offset, into, entry.bytes)  # type: ignore[attr-defined]
        content = bytes(ffi.buffer(into))
        if content != self.history.contents.get(content[:8]):
            raise WrongError("what was read was never written")
        if lib.pool_checksum(0, content, len(content)) != entry.checksum:  # type: ignore[attr-defined]
            raise WrongError("what was read is not what the entry says")
        return content

    def remove(self, name: str) -> None:
        found = self.find(name)
        if found is None:
            return
        self.history.removals += 1
        if life_of(found[0]) not in self.history.removed:
            self.history.removed.add(life_of(found[0]))
            self.history.live.pop(name, None)
        self.call(lib.pool_model_remove, found[0], expect=(lib.POOL_OK, lib.POOL_ABSENT))
        self.history.removals += 1

    def collect(self) -> int:
        freed = ffi.new("uint32_t *")
        self.call(lib.pool_model_collect, freed)
        return int(freed[0])

    def states(self, host: int) -> list[int]:
        """States of a host's entries, as this host sees them."""
        entry = ffi.new("struct pool_entry *")
        found = []
        for number in range(self.pool.super.entries):
            self.call(
                lib.pool_model_read_entry,
                host,
                number,
                entry,
                expect=(lib.POOL_OK, lib.POOL_CONTENDED),
            )
            found.append(entry.commit & 0xFF)
        return found


def life_of(extent: object) -> tuple[int, int, int]:
    return extent.host, extent.entry, extent.generation  # type: ignore[attr-defined]


def content_of(rng: random.Random) -> bytes:
    """Something that was never written before, of one to four lines or so."""
    return rng.randbytes(rng.choice((8, 40, 64, 130, 200)))
