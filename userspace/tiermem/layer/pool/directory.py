"""The pool's calls with names, types and errors: what `pool.h` does, one to one.

One object is one host's use of one mapping. No locking here: the caller sees to it
that one host's calls do not overlap (`local.LocalState.lock`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from tiermem.errors import (
    DamagedError,
    MissingError,
    NameTakenError,
    NoSpaceError,
    TiermemError,
)
from tiermem.layer.pool.local import ExtentId
from tiermem.layer.pool.mapping import Mapping
from tiermem.native._pool import ffi, lib

NAME_BYTES = int(lib.POOL_NAME_BYTES) - 1
HOSTS_MAX = int(lib.POOL_HOSTS_MAX)
ENTRIES_MAX = int(lib.POOL_ENTRIES_MAX)
LEASE_MIN_S, LEASE_MAX_S = 0.5, 600.0
AREA_KIND = int(lib.POOL_KIND_AREA)


class State(IntEnum):
    """Of a directory entry; see pool_layout.h."""

    FREE = 0
    RESERVED = 1
    INTENT = 2
    PUBLISHED = 3
    CONDEMNED = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """What a directory entry says. `is_damaged`: it cannot be believed."""

    extent: ExtentId
    state: State
    name: str
    offset: int
    bytes: int
    checksum: int
    kind: int
    created_ns: int
    holder: int
    is_damaged: bool = False

    @property
    def is_area(self) -> bool:
        """Whether hosts go on writing to it; `checksum` says nothing then."""
        return self.kind == AREA_KIND


@dataclass(frozen=True, slots=True)
class HostWord:
    """What a host says of itself."""

    number: int
    name: str
    heartbeat: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How the pool was made; sizes in bytes. lease_s: see `leases`."""

    uuid: UUID
    bytes: int
    hosts: int
    entries: int
    data_at: int
    share_bytes: int
    lease_s: float


def check_name(name: str) -> bytes:
    """The name as it is stored. TiermemError where it cannot be one."""
    stored = name.encode()
    if not 1 <= len(stored) <= NAME_BYTES or not name.isprintable():
        raise TiermemError(
            f"extent name {name!r}: must be 1 to {NAME_BYTES} bytes long and printable"
        )
    return stored


def format_pool(mapping: Mapping, hosts: int, entries: int, uuid: UUID, lease_s: float) -> None:
    """Make a pool of the mapping; what was there is gone. NoSpaceError where it is too small."""
    if not 1 <= hosts <= HOSTS_MAX:
        raise TiermemError(f"hosts = {hosts}: 1 to {HOSTS_MAX} is allowed")
    if not 1 <= entries <= ENTRIES_MAX:
        raise TiermemError(f"entries = {entries}: 1 to {ENTRIES_MAX} is allowed")
    if not LEASE_MIN_S <= lease_s <= LEASE_MAX_S:
        raise TiermemError(f"lease = {lease_s:g} s: {LEASE_MIN_S:g} to {LEASE_MAX_S:g} is allowed")
    plan = ffi.new("struct pool_super *")
    plan.bytes, plan.hosts, plan.entries = mapping.bytes, hosts, entries
    plan.lease_ms = round(lease_s * 1000)
    ffi.memmove(plan.uuid, uuid.bytes, 16)
    if lib.pool_plan(plan) != lib.POOL_OK:
        raise NoSpaceError(
            f"{mapping.path}: {mapping.bytes >> 20} MiB are too few for {hosts} hosts with "
            f"{entries} entries each; make it larger, or use fewer"
        )
    memory = ffi.gc(
        lib.pool_mapping_create(ffi.cast("void *", mapping.address)), lib.pool_mapping_destroy
    )
    lib.pool_format(memory, plan)


class Directory:
    """See the module. `host` is None for one that only looks."""

    def __init__(self, mapping: Mapping, host: int | None) -> None:
        self._path = mapping.path
        # As long as anybody can call, it must be mapped.
        self._mapping = mapping
        self._memory = ffi.gc(
            lib.pool_mapping_create(ffi.cast("void *", mapping.address)),
            lib.pool_mapping_destroy,
        )
        self._pool = ffi.new("struct pool *")
        number = HOSTS_MAX if host is None else host
        result = lib.pool_attach(self._pool, self._memory, number)
        if result == lib.POOL_OTHER_VERSION:
            raise DamagedError(
                f"{self._path}: a pool of version {self._pool.super.version}, where this tiermem "
                f"knows {int(lib.POOL_VERSION)} alone; `tiermem pool create --force` makes it anew"
            )
        if result == lib.POOL_DAMAGED:
            raise DamagedError(f"{self._path}: the pool's superblock is damaged")
        if result != lib.POOL_OK:
            raise MissingError(f"{self._path}: holds no pool")
        found = self._pool.super
        self.shape = Shape(
            UUID(bytes=bytes(ffi.buffer(found.uuid))),
            found.bytes,
            found.hosts,
            found.entries,
            found.data_at,
            found.share_bytes,
            found.lease_ms / 1000,
        )
        if found.bytes > mapping.bytes:
            raise DamagedError(
                f"{self._path}: is shorter ({mapping.bytes} bytes) than its pool ({found.bytes})"
            )
        if host is not None and host >= found.hosts:
            raise TiermemError(f"{self._path}: host {host}: 0 to {found.hosts - 1} is allowed")
        self.host = host

    def begin(self, name: str) -> bool:
        """This host's first call after a boot; False while another still cleans up after it."""
        return bool(lib.pool_begin(self._pool, name.encode()[:63]) == lib.POOL_OK)

    def beat(self, heartbeat: int) -> None:
        """Say that this host lives, by a number that differs from the last."""
        lib.pool_beat(self._pool, heartbeat)

    def set_dead(self, hosts: frozenset[int]) -> None:
        """These hosts' references and claims do not count from now on."""
        self._pool.dead_hosts = sum(1 << host for host in hosts)

    def host_words(self) -> list[HostWord]:
        """What all hosts say of themselves."""
        found = ffi.new("struct pool_host *")
        words = []
        for number in range(self.shape.hosts):
            lib.pool_read_host(self._pool, number, found)
            name = bytes(ffi.string(found.name)).decode(errors="replace")
            words.append(HostWord(number, name, found.heartbeat, found.incarnation))
        return words

    def entries(self, *, unfinished: bool = False) -> Iterator[Entry]:
        """All published entries of all hosts; `unfinished`: those in any state but free."""
        for host in range(self.shape.hosts):
            for number in range(self.shape.entries):
                entry = self._read(host, number)
                if entry.state is State.PUBLISHED or (unfinished and entry.state is not State.FREE):
                    yield entry

    def _read(self, host: int, number: int) -> Entry:
        found = ffi.new("struct pool_entry *")
        while (result := lib.pool_read_entry(self._pool, host, number, found)) == (
            lib.POOL_CONTENDED
        ):
            pass
        return _entry(host, number, found, is_damaged=result == lib.POOL_DAMAGED)

    def reserve(self, size: int, holder: int) -> tuple[ExtentId, int]:
        """Space in this host's share: the extent and its offset. NoSpaceError."""
        extent, offset = ffi.new("struct pool_extent *"), ffi.new("uint64_t *")
        result = lib.pool_reserve(self._pool, size, holder, extent, offset)
        if result == lib.POOL_NO_ENTRY:
            raise NoSpaceError(
                f"{self._path}: the directory of host {self.host} is full "
                f"({self.shape.entries} entries); remove extents, then `tiermem pool gc`"
            )
        if result == lib.POOL_NO_MEMORY:
            raise MemoryError("to look for space in a pool")
        if result != lib.POOL_OK:
            raise NoSpaceError(
                f"{self._path}: host {self.host}'s share of {self.shape.share_bytes} bytes has "
                f"no room for {size} in one piece; remove extents, then `tiermem pool gc`"
            )
        return _extent_id(extent), int(offset[0])

    def clear(self, extent: ExtentId) -> None:
        """Fill space that was reserved with zeros; they are in memory after `claim`."""
        if lib.pool_clear(self._pool, _c_extent(extent)) != lib.POOL_OK:
            raise TiermemError(f"{self._path}: space to be cleared was taken back meanwhile")

    def forget(self, entry: Entry) -> None:
        """Have what this host stored there in memory, and its next loads be from there."""
        lib.pool_forget(self._pool, entry.offset, entry.bytes)

    def claim(self, extent: ExtentId, name: str, checksum: int, kind: int, created_ns: int) -> None:
        """Announce the name of an extent that is filled."""
        result = lib.pool_claim(
            self._pool, _c_extent(extent), check_name(name), checksum, kind, created_ns
        )
        if result != lib.POOL_OK:
            raise TiermemError(f"{name}: its space was taken back meanwhile")

    def settle(self, extent: ExtentId, name: str) -> bool:
        """Publish, after `claim`; False while another host claims the same. NameTakenError."""
        result = lib.pool_settle(self._pool, _c_extent(extent))
        if result == lib.POOL_EXISTS:
            raise NameTakenError(f"{self._path}: there is an extent {name!r} already")
        if result == lib.POOL_ABSENT:
            raise TiermemError(f"{name}: its space was taken back meanwhile")
        return bool(result == lib.POOL_OK)

    def withdraw(self, extent: ExtentId) -> None:
        """Give back an extent that was not published."""
        lib.pool_withdraw(self._pool, _c_extent(extent))

    def find(self, name: str) -> Entry | None:
        """The published extent of that name. DamagedError where its entry is."""
        extent, entry = ffi.new("struct pool_extent *"), ffi.new("struct pool_entry *")
        result = lib.pool_find(self._pool, check_name(name), extent, entry)
        if result == lib.POOL_DAMAGED:
            raise DamagedError(f"{self._path}: the directory entry of {name!r} is damaged")
        if result != lib.POOL_OK:
            return None
        return _entry(extent.host, extent.entry, entry)

    def hold(self, extent: ExtentId) -> bool:
        """Keep its space from being given back; False where it is removed already."""
        return bool(lib.pool_hold(self._pool, _c_extent(extent)) == lib.POOL_OK)

    def let_go(self, extent: ExtentId) -> None:
        """The opposite of a `hold` that succeeded."""
        lib.pool_let_go(self._pool, _c_extent(extent))

    def holds(self, extent: ExtentId) -> int:
        """How often this host holds it."""
        return int(lib.pool_holds(self._pool, _c_extent(extent)))

    def set_holds(self, extent: ExtentId, count: int) -> None:
        """Correct that."""
        lib.pool_set_holds(self._pool, _c_extent(extent), count)

    def remove(self, extent: ExtentId) -> bool:
        """Unpublish it, or ask its owner to; False where it was gone."""
        return bool(lib.pool_remove(self._pool, _c_extent(extent)) == lib.POOL_OK)

    def collect(self) -> int:
        """Free what is removed and not held any more in this host's share; how many extents."""
        return int(lib.pool_collect(self._pool))

    def adopt(self, dead: int) -> int:
        """The same for a dead host, and drop what it had begun."""
        return int(lib.pool_adopt(self._pool, dead))


def _c_extent(extent: ExtentId) -> object:
    return ffi.new("struct pool_extent *", (extent.host, extent.entry, extent.generation))


def _extent_id(extent: object) -> ExtentId:
    return ExtentId(extent.host, extent.entry, extent.generation)  # type: ignore[attr-defined]


def _entry(host: int, number: int, found: object, *, is_damaged: bool = False) -> Entry:
    commit: int = found.commit  # type: ignore[attr-defined]
    state = commit & 0xFF
    known = state <= max(State)
    return Entry(
        ExtentId(host, number, commit >> 8),
        State(state) if known else State.PUBLISHED,
        bytes(ffi.string(found.name, NAME_BYTES)).decode(errors="replace"),  # type: ignore[attr-defined]
        found.offset,  # type: ignore[attr-defined]
        found.bytes,  # type: ignore[attr-defined]
        found.checksum,  # type: ignore[attr-defined]
        found.kind,  # type: ignore[attr-defined]
        found.created_ns,  # type: ignore[attr-defined]
        found.holder,  # type: ignore[attr-defined]
        is_damaged or not known,
    )
