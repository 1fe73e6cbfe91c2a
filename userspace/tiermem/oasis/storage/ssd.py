"""An SSD of this host, for the instances of the whole pod.

A thread of its own has its table of slices, its backend, and a link for each instance that
has a slice on it or is to get one: the device may take its time, and others are not to wait.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from tiermem.errors import MissingError, NoSpaceError, TiermemError
from tiermem.layer.pool import Pool
from tiermem.oasis.allocator.pod import Device, DeviceId, Health, Instance, InstanceId, Kind
from tiermem.oasis.engine import View
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.load import Load
from tiermem.oasis.settings import SSD_NUMBERS_AT, OasisSettings
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.disk import OpenDisk
from tiermem.oasis.storage.offered import OfferedLink, Terms
from tiermem.oasis.storage.slice_table import Owner, SliceTable
from tiermem.oasis.storage.ssd_state import ZERO, SsdState, plus

_AGAIN_S = 1.0
_LOOK_S, _SETTLED_LOOK_S = 0.02, 0.1
_LOCK_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A link that there should be; promised_bytes: of a slice that the pod's table gives it."""

    name: LinkName
    promised_bytes: int


class Ssd:
    """For the engine's thread; trouble: why it serves less than it should, or empty."""

    def __init__(self, number: int, life: int, settings: OasisSettings, pool: Pool) -> None:
        self.id = DeviceId(settings.host, SSD_NUMBERS_AT + number)
        self.settings = settings.ssd[number]
        self.is_draining = False
        self.trouble = ""
        self.state = SsdState()
        self._life, self._pool = life, pool
        self._size, self._slices_per_host = settings.ssd_link, settings.slices_per_host
        self._load = Load()
        self._wanted: Mapping[InstanceId, _Wanted] = {}
        self._asked: deque[tuple[Owner, Future[None]]] = deque()
        self._backend: Backend | None = None
        self._table: SliceTable | None = None
        self._links: dict[InstanceId, OfferedLink] = {}
        self._closed, self._refused_of_closed = ZERO, 0
        self._again_s = self._renew_s = self._make_s = 0.0
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name=f"ssd {number}")
        self._thread.start()

    # --- the engine's thread ---

    @property
    def health(self) -> Health:
        """By whether it can be used, and whether it is to be given nothing more."""
        if not self.state.is_open:
            return Health.FAILED
        return Health.DRAINING if self.is_draining else Health.HEALTHY

    def device(self) -> Device:
        """For the pod."""
        state = self.state
        self._load.note(time.monotonic(), state.counters.completed)
        return Device(
            self.id,
            Kind.SSD,
            self.settings.iops,
            self.health,
            self._load.measured,
            None,
            state.bytes,
            state.room_bytes,
        )

    def offer(self, view: View) -> None:
        """A link to each instance that has a slice here, or is given one by the pod's table, as
        far as its host may have as many; none to an earlier life of a host."""
        owners = {(one.owner.host, one.owner.instance) for one in self.state.slices}
        wanted: dict[InstanceId, _Wanted] = {}
        count: dict[int, int] = {}
        ranked = sorted(view.instances.values(), key=lambda one: (one.id not in owners, one.id))
        for instance in ranked:
            host, is_assigned = instance.id.host, view.assignments.get(instance.id) == self.id
            is_here = is_assigned or instance.wish == self.id or instance.id in owners
            if instance.kind is not Kind.SSD or not is_here or host not in view.lives:
                continue
            count[host] = count.get(host, 0) + 1
            if count[host] <= self._slices_per_host:
                wanted[instance.id] = self._want(view, instance, is_assigned)
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def _want(self, view: View, instance: Instance, is_assigned: bool) -> _Wanted:
        host, number = instance.id
        may_begin = is_assigned and not instance.has_data and not self.is_draining
        return _Wanted(
            LinkName(Kind.SSD, self.id, host, self._life, view.lives[host], number),
            instance.bytes if may_begin else 0,
        )

    def forget(self, owner: Owner) -> Future[None]:
        """Take its slice from an instance that will not come back. MissingError; TiermemError
        where it is in use."""
        answer: Future[None] = Future()
        self._asked.append((owner, answer))
        self._wake.set()
        return answer

    def close(self) -> None:
        """Serve nobody any longer: users wait."""
        self._is_ending = True
        self._wake.set()
        self._thread.join()

    # --- its own thread ---

    def _run(self) -> None:
        while not self._is_ending:
            wait_s = _AGAIN_S
            if time.monotonic() >= self._again_s:
                wait_s = self._try(self._round)
            self._answer_asked()
            self._note()
            self._wake.wait(wait_s)
            self._wake.clear()
        self._try(self._leave)

    def _try(self, what: Callable[[], float]) -> float:
        try:
            return what()
        except TiermemError as error:
            self._complain(error)
            self._again_s = time.monotonic() + _AGAIN_S
            return _AGAIN_S

    def _complain(self, error: TiermemError) -> None:
        if str(error) != self.trouble:
            _log.error("SSD %s: %s", self.settings.path, error)
        self.trouble = str(error)

    def _round(self) -> float:
        """How long to wait for the next one."""
        backend, table = self._open()
        self._renew()
        wanted = self._wanted
        for key, link in list(self._links.items()):
            if key not in wanted or wanted[key].name != link.name:
                self._drop(key)
        for key, link in self._links.items():
            link.attend(table, Terms(wanted[key].promised_bytes, self._slices_per_host))
        is_busy = table.work()
        if time.monotonic() >= self._make_s:
            self._make_links(backend, wanted)
        if is_busy:
            return 0.0
        is_settled = all(one.is_settled for one in self._links.values())
        return _SETTLED_LOOK_S if is_settled else _LOOK_S

    def _make_links(self, backend: Backend, wanted: Mapping[InstanceId, _Wanted]) -> None:
        """Those that lack. For want of memory some may, without harm to others."""
        try:
            for key in sorted(wanted.keys() - self._links.keys()):
                self._links[key] = OfferedLink(self._pool, wanted[key].name, self._size, backend)
        except NoSpaceError as error:
            self._complain(error)
            self._make_s = time.monotonic() + _AGAIN_S
        else:
            self.trouble = ""

    def _open(self) -> tuple[Backend, SliceTable]:
        if self._backend is not None and self._table is not None:
            return self._backend, self._table
        settings = BackendSettings(
            path=self.settings.path,
            is_write_through=self.settings.is_write_through,
            lock_timeout_s=_LOCK_S,
        )
        backend = Backend(settings)
        try:
            table = SliceTable.open(OpenDisk(backend.device), self.settings.size)
        except MissingError:
            backend.close()
            raise MissingError(
                f"{self.settings.path}: has no table of slices; `tiermem oasis format-ssd "
                f"{self.settings.path}` begins one, over whatever is on it"
            ) from None
        except BaseException:
            backend.close()
            raise
        if table.damaged:
            _log.warning("SSD %s: one copy of its table was damaged", self.settings.path)
        self._backend, self._table = backend, table
        return backend, table

    def _renew(self) -> None:
        """Each second: leave a device that has gone, and links that others do not find."""
        if time.monotonic() < self._renew_s:
            return
        self._renew_s = time.monotonic() + _AGAIN_S
        if not self._is_there():
            self._leave()
            raise MissingError(f"{self.settings.path}: has gone")
        for key, link in list(self._links.items()):
            if not link.is_current:
                self._drop(key)

    def _is_there(self) -> bool:
        assert self._backend is not None  # of the round that asks
        try:
            now = self.settings.path.stat()
        except OSError:
            return False
        opened = os.fstat(self._backend.device.fd)
        return (now.st_dev, now.st_ino, now.st_rdev) == (
            opened.st_dev,
            opened.st_ino,
            opened.st_rdev,
        )

    def _drop(self, key: InstanceId) -> None:
        link = self._links[key]
        counters, refused = link.counters(), link.refused
        link.close()
        del self._links[key]
        self._closed = plus(self._closed, counters)
        self._refused_of_closed += refused

    def _answer_asked(self) -> None:
        while self._asked:
            owner, answer = self._asked.popleft()
            try:
                self._forget(owner)
            except TiermemError as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

    def _forget(self, owner: Owner) -> None:
        if self._table is None:
            raise TiermemError(f"{self.settings.path}: is not served: {self.trouble}")
        if any(one.serving == owner for one in self._links.values()):
            raise TiermemError(f"slice {owner.id:x}: is in use; its own host detaches it")
        self._table.free(owner)

    def _note(self) -> None:
        if self._table is None:
            self.state = SsdState(counters=self._closed, refused_claims=self._refused_of_closed)
            return
        links = self._links.values()
        counters = self._closed
        for one in links:
            counters = plus(counters, one.counters())
        self.state = SsdState(
            True,
            self._table.bytes,
            self._table.room_bytes,
            self._table.slices,
            frozenset(one.serving for one in links if one.serving is not None),
            counters,
            self._refused_of_closed + sum(one.refused for one in links),
        )

    def _leave(self) -> float:
        for key in list(self._links):
            self._drop(key)
        backend, self._backend, self._table = self._backend, None, None
        if backend is not None:
            backend.close()
        return 0.0
