"""An instance of this host that has a slice of an SSD: its block device, and where it is served.

A thread of its own finds the link, claims the slice, and makes the device or goes on with the
one that an earlier daemon left: the kernel and the SSD's host may take their time over each
of that, and others are not to wait. What must outlive the daemon is in `saved`; nothing is
done that relies on it before the engine's thread has kept it (`confirm`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.oasis.allocator.pod import DeviceId, Instance, InstanceId, Kind
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.names import id_text
from tiermem.oasis.saved import SavedVolume
from tiermem.oasis.storage.block_device import BlockDeviceCounters
from tiermem.oasis.storage.claim import Claim, Outcome, Wish
from tiermem.oasis.storage.downlink import Downlink
from tiermem.oasis.storage.node import DeviceNode
from tiermem.oasis.storage.surroundings import Surroundings, new_slice_id
from tiermem.oasis.storage.volume_links import VolumeLinks

_AGAIN_S = 1.0
_LOOK_S, _PATIENT_LOOK_S, _SETTLED_LOOK_S = 0.02, 0.2, 1.0
# How long after something has changed the next change is looked for often.
_PATIENCE_S = 3.0
_REASONS = {
    Outcome.NO_ROOM: "the SSD has no room for it",
    Outcome.TOO_MANY: "the SSD's host gives this host no more slices (slices_per_host)",
    Outcome.WRONG_SIZE: "the SSD's host has its slice with another size",
}
_log = logging.getLogger(__name__)


class Volume:
    """For the engine's thread; trouble: why it is not served, or empty. is_gone: it has given
    its slice back, and is none any more."""

    def __init__(self, saved: SavedVolume, around: Surroundings) -> None:
        """It begins with `start`."""
        self.saved = self.kept = saved
        self.trouble = ""
        self.is_gone = False
        self.counters: BlockDeviceCounters | None = None
        self._around = around
        self._assigned: DeviceId | None = None
        self._lives: Mapping[int, int] = {}
        self._node = DeviceNode(saved, around.device_dir)
        self._links = VolumeLinks(around.pool)
        self._again_s = self._changed_s = self._assigned_s = 0.0
        self._asked: tuple[bool, Future[None]] | None = None
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name=f"volume {saved.name}")

    # --- the engine's thread ---

    @property
    def id(self) -> InstanceId:
        """In the pod."""
        return InstanceId(self._around.host, self.saved.number)

    @property
    def path(self) -> Path | None:
        """Of its block device, once there is one."""
        return self._node.path

    @property
    def link_path(self) -> Path:
        """What its users may call it, whatever number it has."""
        return self._node.link

    @property
    def device(self) -> DeviceId | None:
        """Whose slice it is served by now."""
        used = self._links.used
        return None if used is None else used.name.device

    @property
    def is_ready(self) -> bool:
        """Whether what its users ask for is answered, as far as this host knows."""
        return self._node.is_served and self._links.is_served(self._lives)

    def wanted(self) -> Instance:
        """For the pod."""
        saved = self.saved
        is_bound = saved.has_data or saved.is_leaving
        return Instance(
            self.id,
            Kind.SSD,
            saved.expected_iops,
            saved.device if is_bound else None,
            saved.bytes,
        )

    def start(self) -> None:
        """Begin to serve it."""
        self._thread.start()

    def follow(self, assigned: DeviceId | None, lives: Mapping[int, int]) -> None:
        """Where the pod's table has it, and who lives."""
        if assigned != self._assigned:
            self._assigned_s = time.monotonic()
        if (assigned, lives) != (self._assigned, self._lives):
            self._assigned, self._lives = assigned, lives
            self._rouse()

    def confirm(self, saved: SavedVolume) -> None:
        """That one outlives the daemon."""
        self.kept = saved
        self._rouse()

    def detach(self, *, is_forced: bool) -> Future[None]:
        """Take the device away, and give the slice back. Done when the device is gone;
        TiermemError where it is in use, or its SSD does not answer, and it stays as it was.
        is_forced: also then."""
        answer: Future[None] = Future()
        if self._asked is not None:
            answer.set_exception(TiermemError(f"instance {self.saved.name}: is being detached"))
            return answer
        self._asked, self._again_s = (is_forced, answer), 0.0
        self._rouse()
        return answer

    def _rouse(self) -> None:
        self._changed_s = time.monotonic()
        self._wake.set()

    def end(self) -> None:
        """Serve it no longer; `join` waits for that. A device that is in use stays, and its
        users wait for the next daemon."""
        self._is_ending = True
        self._wake.set()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to `join`."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """See `end`."""
        if self._thread.ident is not None:
            self._thread.join()

    # --- its own thread ---

    def _run(self) -> None:
        while not self._is_ending and not self.is_gone:
            self._detach_if_asked()
            if time.monotonic() >= self._again_s:
                self._step()
            self.counters = self._node.counters
            self._wake.wait(self._look_s())
            self._wake.clear()
        if self._asked is not None:
            self._asked[1].set_exception(TiermemError("the daemon ends"))
        self._node.end(is_connected=self._links.is_served(self._lives))
        self._links.close()
        self._around.ring()

    def _look_s(self) -> float:
        if self._is_settled():
            return _SETTLED_LOOK_S
        has_changed = time.monotonic() < self._changed_s + _PATIENCE_S
        return _LOOK_S if has_changed else _PATIENT_LOOK_S

    def _is_settled(self) -> bool:
        links = self._links
        return self.is_ready and links.used is links.newest and self.saved is self.kept

    def _save(self, **changes: Any) -> None:
        self.saved = self.saved.model_copy(update=changes)
        self._around.ring()

    def _step(self) -> None:
        try:
            self._place()
            device = self.saved.device
            if self.saved is self.kept and device is not None:
                name = self._link_name(device)
                link = None if name is None else self._links.find(name)
                if link is not None:
                    self._claim(link)
        except TiermemError as error:
            self._complain(str(error))
            self._again_s = time.monotonic() + _AGAIN_S

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("instance %s: %s", self.saved.name, trouble)
        self.trouble = trouble

    def _place(self) -> None:
        """Where its slice is to be: settled once it has data."""
        saved, assigned = self.saved, self._assigned
        if saved.is_leaving and saved.device is None:
            self.is_gone = True
        elif not saved.has_data and not saved.is_leaving and assigned is not None:
            if saved.device is None:
                self._save(device=assigned)
            elif self._is_to_move() and not self._is_worth_asking(saved.device):
                self._move_on()

    def _is_to_move(self) -> bool:
        saved = self.saved
        is_free = not saved.has_data and not saved.is_leaving
        return is_free and self._assigned not in (None, saved.device)

    def _is_worth_asking(self, device: DeviceId) -> bool:
        """Whether an SSD that it was to have a slice of may still say that it has none there:
        with one its host keeps a link."""
        is_late = time.monotonic() >= self._assigned_s + _PATIENCE_S
        return device.host in self._lives and not is_late

    def _move_on(self) -> None:
        """To another SSD, before there was any data. Should a host that died in between have
        made the slice, it is there until somebody forgets it."""
        self._links.close()
        self._save(device=self._assigned, id=new_slice_id())
        self._node.rename(self.saved)

    def _link_name(self, device: DeviceId) -> LinkName | None:
        """Of the link to the SSD's host as it lives now."""
        life = self._lives.get(device.host)
        if life is None:
            self.trouble = f"host {device.host}, which has its SSD {id_text(device)}, does not live"
            return None
        around = self._around
        return LinkName(Kind.SSD, device, around.host, life, around.life, self.saved.number)

    def _claim(self, link: Downlink) -> None:
        saved = self.saved
        leaves = saved.is_leaving or self._is_to_move()
        wish = Wish.NONE if leaves else Wish.ITS if saved.has_data else Wish.NEW
        grant = link.ask(Claim(saved.id, saved.bytes, wish))
        if grant is None or grant.outcome is Outcome.WAIT:
            return
        if grant.outcome is Outcome.SERVED:
            self._use(link, is_write_through=grant.is_write_through)
        elif grant.outcome is not Outcome.GONE:
            raise TiermemError(_REASONS[grant.outcome])
        elif saved.is_leaving:
            self.is_gone = True
        elif saved.has_data:
            raise TiermemError(f"SSD {id_text(link.name.device)} has no slice of it any more")
        else:
            self._move_on()

    def _use(self, link: Downlink, *, is_write_through: bool) -> None:
        if not self.saved.has_data:
            self._save(has_data=True)
            return
        if not self._node.is_served:
            self._open(link, is_write_through=is_write_through)
        elif link is not self._links.used:
            self._node.reconnect(link.area)
            self._links.use(link)
        self.trouble = ""

    def _open(self, link: Downlink, *, is_write_through: bool) -> None:
        number = self._node.look()
        if link.is_used:
            # Somebody has deleted the device; another one needs another link.
            self._links.close()
            return
        self._links.use(link)
        try:
            self._node.open(link.area, number, is_write_through=is_write_through)
        except TiermemError:
            self._links.close()
            raise

    def _detach_if_asked(self) -> None:
        if self._asked is None:
            return
        is_forced, answer = self._asked
        try:
            if not self.saved.is_leaving:
                is_connected = self._links.is_served(self._lives)
                self._node.remove(is_forced=is_forced, is_connected=is_connected)
                self._save(is_leaving=True)
        except TiermemError as error:
            self._asked = None
            answer.set_exception(error)
            return
        if self.saved is self.kept:
            self._asked = None
            self.is_gone = is_forced and not self._links.is_answered(self._lives)
            answer.set_result(None)
