"""An instance of this host: its interface, and the uplink that carries its frames now."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from tiermem.errors import TiermemError
from tiermem.oasis.allocator.pod import DeviceId, Instance, InstanceId, Kind
from tiermem.oasis.names import id_text
from tiermem.oasis.net.frontend import InstanceState
from tiermem.oasis.net.tap import Tap
from tiermem.oasis.net.uplink import Uplink
from tiermem.oasis.saved import SavedInstance

_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


@dataclass
class _Place:
    """Where it is served; number: in the uplink."""

    uplink: Uplink
    number: int
    since_s: float


class Served:
    """For the engine's thread; trouble: why it is not served, or empty. moves: how often it
    went from one NIC to another."""

    def __init__(self, host: int, saved: SavedInstance) -> None:
        self.host, self.saved = host, saved
        self.trouble = ""
        self.moves = 0
        self._tap: Tap | None = None
        self._place: _Place | None = None
        self._again_s = 0.0

    @property
    def id(self) -> InstanceId:
        """In the pod."""
        return InstanceId(self.host, self.saved.number)

    @property
    def device(self) -> DeviceId | None:
        """Whose NIC carries its frames now, or is asked to."""
        return None if self._place is None else self._place.uplink.name.device

    @property
    def uplink(self) -> Uplink | None:
        """The same, as this host reaches it."""
        return None if self._place is None else self._place.uplink

    @property
    def is_ready(self) -> bool:
        """Whether frames go through."""
        place = self._place
        return place is not None and place.uplink.state(place.number) is InstanceState.READY

    def wanted(self) -> Instance:
        """For the pod."""
        return Instance(self.id, Kind.NIC, self.saved.expected_Bps, self.saved.wish)

    def make_tap(self) -> None:
        """A new interface, which ends with this process. TiermemError, and nothing is left
        of it."""
        self._tap = Tap(self.saved.tap)

    def persist(self) -> None:
        """Have the interface outlive this process, for the next one to take up."""
        if self._tap is not None:
            self._tap.persist()

    def take_up_tap(self) -> None:
        """The interface that an earlier daemon left, or a new one; later, where its namespace
        is not there (any more)."""
        if self._tap is not None and not self._tap.is_there:
            self.leave()
            self._tap.close()
            self._tap = None
        if self._tap is not None or time.monotonic() < self._again_s:
            return
        try:
            self._tap = Tap(self.saved.tap, is_taken_up=True)
            self._tap.persist()
            self.trouble = ""
        except TiermemError as error:
            self._put_off(str(error))

    def go_to(self, uplink: Uplink) -> None:
        """Have that uplink carry its frames, from now on."""
        if self._tap is None or (self._place is not None and self._place.uplink is uplink):
            return
        if self._place is None and time.monotonic() < self._again_s:
            return
        before = self.device
        unsent = self.leave()
        try:
            number = uplink.add(self._tap, unsent)
        except TiermemError as error:
            self._put_off(str(error))
            return
        self.trouble = ""
        self._place = _Place(uplink, number, time.monotonic())
        if before is not None:
            self.moves += 1
            _log.info(
                "instance %s: from NIC %s to %s",
                self.saved.name,
                id_text(before),
                id_text(uplink.name.device),
            )

    def insist(self) -> None:
        """Ask once more, a second after the NIC's host refused its address: whoever had it
        may be gone."""
        place = self._place
        if place is None or place.uplink.state(place.number) is not InstanceState.REFUSED:
            return
        self.trouble = "the NIC's host refuses its address: another instance there has it"
        if time.monotonic() - place.since_s >= _AGAIN_S:
            self.leave()
            self.go_to(place.uplink)

    def leave(self) -> bytes:
        """Nobody carries its frames. Those that were lost with the NIC."""
        place, self._place = self._place, None
        return b"" if place is None else place.uplink.remove(place.number)

    def wish(self, device: DeviceId | None) -> None:
        """Where people want it to be."""
        self.saved = self.saved.model_copy(update={"wish": device})

    def close(self, *, keep_interface: bool) -> None:
        """Serve it no longer."""
        self.leave()
        if self._tap is not None:
            if keep_interface:
                self._tap.close()
            else:
                self._tap.remove()
            self._tap = None

    def _put_off(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("instance %s: %s", self.saved.name, trouble)
        self.trouble = trouble
        self._again_s = time.monotonic() + _AGAIN_S
