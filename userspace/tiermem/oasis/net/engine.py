"""The net engine of a host: its NICs for the pod, and the NICs of the pod for its instances.

An instance is served by the device that the table gives it; while that one has failed, by
the backup it named, without waiting for the leader, who decides the same (`stand_in`). So
an instance goes on as soon as its own host knows that its NIC does not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from tiermem.errors import MissingError, NameTakenError
from tiermem.layer.pool import Pool
from tiermem.oasis.allocator.failover import stand_in
from tiermem.oasis.allocator.pod import Device, DeviceId, Instance, Kind
from tiermem.oasis.engine import View
from tiermem.oasis.last_words import LastWords
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.names import id_text
from tiermem.oasis.net.counters import Counters
from tiermem.oasis.net.frontend import Peer, Watch
from tiermem.oasis.net.nic import Nic
from tiermem.oasis.net.served import Served
from tiermem.oasis.net.totals import ZERO, plus
from tiermem.oasis.net.uplink import Uplink
from tiermem.oasis.saved import SavedInstance
from tiermem.oasis.settings import OasisSettings

_TEND_S = 1.0
_KEEP_S = 60.0
_GRACE_S = 0.05
_IN_WORDS = {
    Peer.WELL: "can be used",
    Peer.SILENT: "its host does not answer",
    Peer.WITHOUT_NIC: "has no link",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NetFigures:
    """What was carried, by the NICs of this host and for its instances, and how often one of
    these went from one NIC to another."""

    nics: Mapping[DeviceId, Counters]
    uplinks: Mapping[DeviceId, Counters]
    moves: int


class NetEngine:
    """See `engine.Engine`; served: the instances of this host by their numbers."""

    kind = Kind.NIC

    def __init__(
        self,
        settings: OasisSettings,
        pool: Pool,
        life: int,
        last_words: LastWords,
        instances: Iterable[SavedInstance] = (),
    ) -> None:
        """MissingError where a NIC's namespace is not there."""
        self.host, self._life, self._pool = settings.host, life, pool
        self._pace, self._keep_interfaces = settings.pace, settings.keep_interfaces
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watch = Watch(settings.silence_ms, self._alarm)
        self.nics = [
            Nic(number, life, settings, pool, last_words) for number in range(len(settings.nic))
        ]
        self.served = {one.number: Served(self.host, one) for one in instances}
        self._uplinks: dict[DeviceId, Uplink] = {}
        self._gone: dict[DeviceId, Counters] = {}
        self._spent: dict[DeviceId, int] = {}
        self._moves_of_gone = 0
        self._lost: dict[DeviceId, Peer] = {}
        self._tend_s = 0.0

    def descriptors(self) -> tuple[int, ...]:
        """NICs' links, and the word of their hosts."""
        return self._alarm, *(nic.descriptor for nic in self.nics)

    def devices(self) -> tuple[Device, ...]:
        """This host's NICs."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._alarm)
        for nic in self.nics:
            nic.look()
        return tuple(nic.device() for nic in self.nics)

    def instances(self) -> tuple[Instance, ...]:
        """Those of this host that want a NIC."""
        return tuple(one.wanted() for one in self.served.values())

    def unreachable(self) -> tuple[DeviceId, ...]:
        """NICs whose hosts say nothing any more, or that they have no link."""
        lost = {device: one.peer for device, one in self._uplinks.items() if one.is_lost}
        for device in lost.keys() | self._lost.keys():
            before, now = self._lost.get(device, Peer.WELL), lost.get(device, Peer.WELL)
            if before is not now:
                _log.warning("NIC %s, from here: %s", id_text(device), _IN_WORDS[now])
        self._lost = lost
        return tuple(lost)

    def apply(self, view: View) -> None:
        """See `Engine`. What goes on without a NIC comes first."""
        is_time_to_tend = time.monotonic() >= self._tend_s
        if is_time_to_tend:
            self._tend_s = time.monotonic() + _TEND_S
            for served in self.served.values():
                served.take_up_tap()
                served.insist()
        self._drop_stale(view, look_them_up=is_time_to_tend)
        targets = self._targets(view)
        self._serve(targets)
        for nic in self.nics:
            if is_time_to_tend:
                nic.renew()
            nic.offer(view)
        wanted = self._wanted(view, targets)
        self._find(view, wanted)
        self._serve(targets)
        self._give_up(wanted)

    def _targets(self, view: View) -> dict[int, DeviceId]:
        """Which NIC each instance is to use now; without those that the table does not know."""
        lost = self._lost
        assigned = {
            number: view.assignments[one.id]
            for number, one in self.served.items()
            if one.id in view.assignments
        }
        return {number: stand_in(view.devices, device, lost) for number, device in assigned.items()}

    def _serve(self, targets: Mapping[int, DeviceId]) -> None:
        for number, device in targets.items():
            uplink = self._uplinks.get(device)
            if uplink is not None:
                self.served[number].go_to(uplink)

    def _wanted(self, view: View, targets: Mapping[int, DeviceId]) -> set[DeviceId]:
        """NICs in use or about to be, what they would be replaced by, and those to be heard of."""
        wanted = set(targets.values())
        for device in (*wanted, *(view.assignments.get(one.id) for one in self.served.values())):
            known = None if device is None else view.devices.get(device)
            if known is not None and known.backup is not None:
                wanted.add(known.backup)
        wanted.update(device for device, one in self._uplinks.items() if one.users or one.is_lost)
        return wanted

    def _find(self, view: View, wanted: Iterable[DeviceId]) -> None:
        for device in wanted:
            life = view.lives.get(device.host)
            if device in self._uplinks or life is None:
                continue
            name = LinkName(Kind.NIC, device, self.host, life, self._life)
            uplink = Uplink.find(self._pool, name, self._pace, self._watch)
            if uplink is not None and uplink.generation == self._spent.get(device):
                uplink.close()
            elif uplink is not None:
                self._uplinks[device] = uplink

    def _give_up(self, wanted: Set[DeviceId]) -> None:
        """Uplinks that are of no use; those that were, not before a while: whoever wants them
        again waits for another link."""
        now_s = time.monotonic()
        for device, uplink in list(self._uplinks.items()):
            if device in wanted:
                uplink.unwanted_since_s = None
            elif uplink.is_fresh:
                self._close_uplink(device)
            elif uplink.unwanted_since_s is None:
                uplink.unwanted_since_s = now_s
            elif now_s - uplink.unwanted_since_s >= _KEEP_S:
                self._close_uplink(device)

    def _drop_stale(self, view: View, *, look_them_up: bool) -> None:
        """Uplinks to another life of a NIC's host, or that it has replaced."""
        for device, uplink in list(self._uplinks.items()):
            is_old = view.lives.get(device.host, uplink.name.life) != uplink.name.life
            if is_old or (look_them_up and not uplink.is_current):
                self._close_uplink(device)

    def _close_uplink(self, device: DeviceId) -> None:
        uplink = self._uplinks.pop(device)
        for served in self.served.values():
            if served.uplink is uplink:
                served.leave()
        self._gone[device] = plus(self._gone.get(device, ZERO), uplink.counters())
        if not uplink.is_fresh:
            self._spent[device] = uplink.generation
        uplink.close()

    def find(self, name: str) -> Served:
        """By `NAMESPACE/INTERFACE`, its number here, or `HOST/NUMBER`. MissingError."""
        for number, one in self.served.items():
            if name in (one.saved.name, str(number), f"{self.host}/{number}"):
                return one
        raise MissingError(
            f"instance {name}: host {self.host} has none of that name; `tiermem oasis ls` shows "
            "which there are, and on which hosts"
        )

    def attach(self, saved: SavedInstance) -> Served:
        """A new instance, with a new interface. TiermemError, and nothing is left of it."""
        for one in self.served.values():
            if saved.tap.mac == one.saved.tap.mac:
                raise NameTakenError(f"MAC {saved.tap.mac}: instance {one.saved.name} has it")
        made = Served(self.host, saved)
        made.make_tap()
        self.served[saved.number] = made
        return made

    def detach(self, served: Served) -> None:
        """The instance is none any more, and its interface gone."""
        del self.served[served.saved.number]
        self._moves_of_gone += served.moves
        served.close(keep_interface=False)

    def figures(self) -> NetFigures:
        """What was done since the start."""
        uplinks = dict(self._gone)
        for device, uplink in self._uplinks.items():
            uplinks[device] = plus(uplinks.get(device, ZERO), uplink.counters())
        moves = self._moves_of_gone + sum(one.moves for one in self.served.values())
        return NetFigures({nic.id: nic.counters() for nic in self.nics}, uplinks, moves)

    def close(self) -> None:
        """See `Engine`; with time for other hosts' instances to go elsewhere."""
        for nic in self.nics:
            nic.announce_end()
        for served in self.served.values():
            served.close(keep_interface=self._keep_interfaces)
        if self.nics:
            time.sleep(_GRACE_S)
        for device in list(self._uplinks):
            self._close_uplink(device)
        for nic in self.nics:
            nic.close()
        os.close(self._alarm)
