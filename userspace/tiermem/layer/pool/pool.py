"""The pool as its clients use it: publish, find, hold, remove, collect.

    with open_pool(Path("/dev/dax0.0"), host=0) as pool:
        pool.publish("weights", array)
        with pool.open("weights") as extent:
            extent.numpy("f4")

docs/pool.md describes the protocol below it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tiermem.errors import (
    DamagedError,
    LeaseLostError,
    MissingError,
    ProcessGoneError,
    TiermemError,
)
from tiermem.layer.pool.area import Area
from tiermem.layer.pool.directory import Directory, Entry, State
from tiermem.layer.pool.extent import Draft, Extent
from tiermem.layer.pool.leases import Heart, HostWatch
from tiermem.layer.pool.local import ExtentId, LocalState, is_running, process_identity
from tiermem.layer.pool.mapping import Mapping

_ADOPTION_S = 0.01


def open_pool(
    path: Path,
    host: int | None = None,
    *,
    name: str | None = None,
    run_dir: Path | None = None,
) -> Pool:
    """Open the pool as host number `host`; None only looks.

    name: what other hosts see in lists (default: the host's name).
    """
    mapping = Mapping(path)
    try:
        return Pool(mapping, host, name or socket.gethostname(), run_dir)
    except BaseException:
        mapping.close()
        raise


class Pool:
    """An open pool; see the module. Threads and processes of one host may share it."""

    def __init__(self, mapping: Mapping, host: int | None, name: str, run_dir: Path | None) -> None:
        self._mapping = mapping
        self.path = mapping.path
        self.directory = Directory(mapping, host)
        self.watch = HostWatch(self.directory)
        self._local: LocalState | None = None
        self._heart: Heart | None = None
        if host is not None:
            self._local = LocalState(self.directory.shape.uuid, host, run_dir)
            self._heart = Heart(Directory(mapping, host))
            self._begin(name)

    def _begin(self, name: str) -> None:
        """The first process of a host cleans up what the last ones left."""
        local = self._own
        with local.lock():
            if not local.is_open():
                deadline_s = time.monotonic() + 2 * self.watch.lease_s
                while not self.directory.begin(name):
                    self.directory.set_dead(self.watch.dead())
                    if time.monotonic() > deadline_s:
                        raise TiermemError(
                            f"{self.path}: another host still cleans up after host "
                            f"{self.directory.host}; try again"
                        )
                    time.sleep(_ADOPTION_S)
            local.note_open()

    @property
    def _own(self) -> LocalState:
        if self._local is None:
            raise TiermemError(f"{self.path}: was opened without a host's number, to look only")
        return self._local

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Alone on this host, and not taken for dead meanwhile. LeaseLostError."""
        self.check_lease()
        with self._own.lock():
            yield

    def check_lease(self) -> None:
        """LeaseLostError where others may have taken this host for dead since this was opened:
        nothing that it held may be used, and no call but `close` is of use any more."""
        lost_s = self._heart.lost_s if self._heart is not None else 0.0
        if lost_s:
            raise LeaseLostError(
                f"{self.path}: this host was silent for {lost_s:.1f} s, and others may "
                "have taken it for dead: what it held may be gone; open the pool anew"
            )

    def heed_the_dead(self) -> None:
        """From now on, hosts that are dead do not count."""
        self.directory.set_dead(self.watch.dead())

    @property
    def bytes(self) -> int:
        """How large it is, metadata included."""
        return self._mapping.bytes

    @property
    def physical_start(self) -> int | None:
        """Where its memory lies in this host; None where it is a file."""
        return self._mapping.physical_start

    def address_of(self, offset: int) -> int:
        """Where an offset lies in this process."""
        return self._mapping.address + offset

    def view_of(self, offset: int, size: int, *, writable: bool = False) -> memoryview:
        """A part of the pool, without a copy."""
        return self._mapping.view(offset, size, writable=writable)

    def reserve(self, size: int) -> Draft:
        """Space in this host's share, to be filled and published. NoSpaceError."""
        if size < 1:
            raise TiermemError(f"an extent of {size} bytes: at least 1 is needed")
        self._beat()
        with self.alone():
            extent, offset = self.directory.reserve(size, self._own.identity)
        return Draft(self, extent, offset, size)

    def publish(self, name: str, data: Any, *, kind: int = 0) -> Entry:
        """Copy a contiguous buffer into the pool under a name."""
        size = memoryview(data).nbytes
        with self.reserve(size) as draft:
            draft.append(data)
            return draft.publish(name, kind=kind)

    def find(self, name: str) -> Entry | None:
        """The extent of that name, if there is one. DamagedError where its entry is."""
        return self.directory.find(name)

    def open(self, name: str, *, verify: bool = True) -> Extent:
        """Hold an extent to read it; MissingError where there is none, DamagedError where
        (with `verify`) its bytes are not those that were published."""
        entry = self._hold(name, is_area=False)
        extent = Extent(self, entry)
        if entry.extent.host != self.directory.host:
            # What this host's caches have of that memory is older.
            self.directory.forget(entry)
        if verify:
            try:
                extent.verify()
            except DamagedError:
                extent.release()
                raise
        return extent

    def _hold(self, name: str, *, is_area: bool) -> Entry:
        self._beat()
        while True:
            with self.alone():
                entry = self.directory.find(name)
                if entry is None:
                    raise MissingError(f"{self.path}: has no extent {name!r}")
                if entry.is_area != is_area:
                    there = "an area" if entry.is_area else "an extent that does not change"
                    call = "open_area" if entry.is_area else "open"
                    raise TiermemError(f"{self.path}: {name!r} is {there}: {call}() opens it")
                self._own.note_held(entry.extent)
                if self.directory.hold(entry.extent):
                    return entry
                # Removed between the two; there may be another of that name by now.
                self._own.note_let_go(entry.extent)

    def create_area(self, name: str, size: int) -> Area:
        """Make an area of zeros, for hosts to write to, and hold it. NoSpaceError, NameTakenError.

        It is there until it is removed, and its memory as long as a living host holds it.
        """
        with self.reserve(size) as draft:
            made = draft.publish_area(name)
        area = self.open_area(name)
        if area.entry.extent != made.extent:
            area.close()
            raise TiermemError(f"{name}: was removed as soon as it was published")
        return area

    def open_area(self, name: str) -> Area:
        """Hold an area that some host has made. MissingError where there is none."""
        return Area(self, self._hold(name, is_area=True))

    def hold_for(self, extent: ExtentId, pid: int) -> None:
        """Hold an extent, which this process holds, on behalf of another process of this
        host as well. It counts until that one has ended and somebody collects, whatever
        becomes of this one. ProcessGoneError.
        """
        identity = process_identity(pid)
        if identity is None:
            raise ProcessGoneError(pid)
        with self.alone():
            # Open, too: while it lives, no process of this host is its first.
            self._own.note_open(identity)
            self._own.note_held(extent, identity)
            self.directory.hold(extent)

    def bereaved(self) -> set[int]:
        """Processes of this host, by identity (pool/local.py), that hold extents which are not
        there any more: the host was taken for dead, and their memory may be another's."""
        with self.alone():
            there = {entry.extent for entry in self.directory.entries(unfinished=True)}
            held = self._own.held_by_process()
        return {identity for identity, extents in held.items() if not extents.keys() <= there}

    def let_go(self, extent: ExtentId) -> None:
        """The end of an `open`."""
        with self._own.lock():
            self.directory.let_go(extent)
            self._own.note_let_go(extent)

    def withdraw(self, extent: ExtentId) -> None:
        """The end of a `reserve` that was not published. Also where the lease was lost meanwhile:
        others that open the pool on this host would not give it back while this process lives."""
        with self._own.lock():
            self.directory.withdraw(extent)

    def remove(self, name: str) -> None:
        """Unpublish; the space comes back when nobody holds it. MissingError."""
        with self.alone():
            entry = self.directory.find(name)
            if entry is None or not self.directory.remove(entry.extent):
                raise MissingError(f"{self.path}: has no extent {name!r}")

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """All published extents of all hosts, or all that take space."""
        return list(self.directory.entries(unfinished=unfinished))

    def collect(self) -> int:
        """Give back what nobody needs any more; how many extents.

        In this host's share: what was removed and is not held, drafts and holds of
        processes that are gone. In the shares of dead hosts, where no other living host
        comes before this one: the same.
        """
        with self.alone():
            self._drop_what_the_gone_left()
            dead = self.watch.dead()
            self.directory.set_dead(dead)
            freed = self.directory.collect()
            seen = [word.number for word in self.directory.host_words() if word.incarnation]
            if min(set(seen) - dead) == self.directory.host:
                freed += sum(self.directory.adopt(one) for one in sorted(dead))
        return freed

    def _drop_what_the_gone_left(self) -> None:
        for entry in self.directory.entries(unfinished=True):
            mine = entry.extent.host == self.directory.host
            if (
                mine
                and entry.state in (State.RESERVED, State.INTENT)
                and not is_running(entry.holder)
            ):
                self.directory.withdraw(entry.extent)
        held = self._own.held_by_living()
        for entry in self.directory.entries(unfinished=True):
            if self.directory.holds(entry.extent) != held[entry.extent]:
                if entry.is_area and not entry.is_damaged:
                    # What a process that is gone stored must not come when it is another's.
                    self.directory.forget(entry)
                self.directory.set_holds(entry.extent, held[entry.extent])

    def _beat(self) -> None:
        if self._heart is not None:
            self._heart.start()

    def close(self) -> None:
        """Close it; TiermemError while views of its extents are in use."""
        # The heart beats into it.
        self._stop_heart()
        self._mapping.close()
        self._note_closed()

    def _stop_heart(self) -> None:
        if self._heart is not None:
            self._heart.stop()

    def _note_closed(self) -> None:
        if self._local is not None:
            with self._local.lock():
                self._local.note_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None:
            self.close()
        else:
            # The error's own traceback may hold views; the mapping goes with the last.
            self._stop_heart()
            self._note_closed()
