"""A NIC of this host, for the instances of the whole pod.

It has a backend as long as its interface is there, and a link for each host that runs
instances which want a NIC: made ahead, so that an instance which has to come here finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tiermem.errors import TiermemError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.allocator.pod import Device, DeviceId, Health, Kind
from tiermem.oasis.engine import View
from tiermem.oasis.last_words import LastWords
from tiermem.oasis.link_areas import LinkName, drop_area, is_current, make_area
from tiermem.oasis.load import Load
from tiermem.oasis.net.backend import Backend, BackendSettings
from tiermem.oasis.net.carrier import Carrier
from tiermem.oasis.net.counters import Counters
from tiermem.oasis.net.link import make_link
from tiermem.oasis.net.totals import ZERO, plus
from tiermem.oasis.settings import OasisSettings

_AGAIN_S = 1.0
"""What could not be done is not tried again before that: it takes time from those served."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Offered:
    """A link to another host; number: in the backend."""

    name: LinkName
    area: Area
    number: int


class Nic:
    """For the engine's thread; trouble: why it serves less than it should, or empty."""

    def __init__(
        self,
        number: int,
        life: int,
        settings: OasisSettings,
        pool: Pool,
        last_words: LastWords,
    ) -> None:
        """MissingError where its namespace is not there."""
        self.id = DeviceId(settings.host, number)
        self.settings = settings.nic[number]
        self.is_draining = False
        self.trouble = ""
        self._life, self._pool, self._size = life, pool, settings.link
        self._last_words = last_words
        self._backend_settings = BackendSettings(
            nic=self.settings.interface, namespace=self.settings.namespace, pace=settings.pace
        )
        self._carrier = Carrier(self.settings.interface, self.settings.namespace)
        self.descriptor = self._carrier.descriptor
        self._backend: Backend | None = None
        self._served_index: int | None = None
        self._offered: dict[int, _Offered] = {}
        self._closed = ZERO
        self._load = Load()
        self._again_s = 0.0

    @property
    def health(self) -> Health:
        """By its link, and by whether it is to be emptied."""
        if self._backend is None or not self._carrier.state.is_up:
            return Health.FAILED
        return Health.DRAINING if self.is_draining else Health.HEALTHY

    def look(self) -> None:
        """Follow the interface: as it goes, comes back, and loses and finds its link."""
        before = self._carrier.state
        state = self._carrier.read()
        if state.index != self._served_index:
            self._leave()
        if state.index is not None and self._backend is None:
            self._serve(state.index)
        if self._backend is not None and (before != state or before.index is None):
            self._backend.set_nic(is_down=not state.is_up)
        if before.is_up != state.is_up:
            word = "is up" if state.is_up else "is down"
            _log.warning("NIC %s: %s", self.settings.interface, word)

    def _serve(self, index: int) -> None:
        try:
            self._backend = Backend(self._backend_settings)
        except TiermemError as error:
            self.trouble = str(error)
            return
        self._served_index, self.trouble = index, ""
        self._backend.set_nic(is_down=not self._carrier.state.is_up)

    def _leave(self) -> None:
        """The interface is not there any more, or is another one."""
        for host in list(self._offered):
            self._take_back(host)
        if self._backend is not None:
            self._backend.close()
        self._backend, self._served_index = None, None

    def device(self) -> Device:
        """For the pod."""
        carried = self.counters()
        self._load.note(time.monotonic(), carried.tx_bytes, carried.rx_bytes)
        return Device(
            self.id,
            Kind.NIC,
            self.settings.capacity,
            self.health,
            self._load.measured,
            self.settings.backup,
        )

    def offer(self, view: View) -> None:
        """A link to each host that wants one, to no other, and none to an earlier life."""
        wanting = {
            one.id.host
            for one in view.instances.values()
            if one.kind is Kind.NIC and one.id.host in view.lives
        }
        names = {
            host: LinkName(Kind.NIC, self.id, host, self._life, view.lives[host])
            for host in wanting
        }
        for host, offered in list(self._offered.items()):
            if names.get(host) != offered.name:
                self._take_back(host)
        if self._backend is None or time.monotonic() < self._again_s:
            return
        for host in names.keys() - self._offered.keys():
            self._make_link(self._backend, host, names[host])

    def renew(self) -> None:
        """Take back what others do not find any more: they took this host for dead."""
        for host, offered in list(self._offered.items()):
            if not is_current(self._pool, offered.area):
                self._take_back(host)

    def _make_link(self, backend: Backend, host: int, name: LinkName) -> None:
        try:
            area = make_area(self._pool, name, self._size.bytes)
            try:
                make_link(area, self._size, area.generation)
                self._offered[host] = _Offered(name, area, backend.add_link(area, area.generation))
            except TiermemError:
                drop_area(self._pool, area)
                raise
        except TiermemError as error:
            self._complain(f"host {host} has no link to it: {error}")
            self._again_s = time.monotonic() + _AGAIN_S
        else:
            self._last_words.add(area.entry.offset)
            self.trouble = ""

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("NIC %s: %s", self.settings.interface, trouble)
        self.trouble = trouble

    def _take_back(self, host: int) -> None:
        offered = self._offered.pop(host)
        if self._backend is not None:
            self._closed = plus(self._closed, self._backend.counters(offered.number))
            self._backend.remove_link(offered.number)
        self._last_words.remove(offered.area.entry.offset)
        drop_area(self._pool, offered.area)

    def counters(self) -> Counters:
        """Of all its links, also those that are gone."""
        return _sum([self._closed, *self._open_counters()])

    def _open_counters(self) -> Iterable[Counters]:
        if self._backend is not None:
            for offered in self._offered.values():
                yield self._backend.counters(offered.number)

    def announce_end(self) -> None:
        """Have its users go elsewhere, while it still serves them."""
        if self._backend is not None:
            self._backend.set_nic(is_down=True)

    def close(self) -> None:
        """Serve nobody any longer."""
        self._leave()
        self._carrier.close()


def _sum(counters: Iterable[Counters]) -> Counters:
    total = ZERO
    for one in counters:
        total = plus(total, one)
    return total
