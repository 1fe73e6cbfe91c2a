"""oasisd: one host's share of the pod's NICs and SSDs, as a service.

It says how this host is, and makes of what the pod's leader decides what there is to do
here, by its engines. All of that is one thread's (`control`), which the API asks between
two steps. docs/oasis.md says what happens when something fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from dataclasses import replace
from typing import NoReturn

from tiermem.errors import LeaseLostError, NoSpaceError, TiermemError
from tiermem.layer.pool import open_pool
from tiermem.oasis.allocator.encoding import INSTANCES_MAX, Report
from tiermem.oasis.allocator.leadership import Table
from tiermem.oasis.allocator.member import Member
from tiermem.oasis.allocator.pod import Health, Pod
from tiermem.oasis.allocator.state import REPORT_S
from tiermem.oasis.control import Control
from tiermem.oasis.engine import Engine, View
from tiermem.oasis.last_words import LastWords
from tiermem.oasis.link_areas import sweep
from tiermem.oasis.net.engine import NetEngine, NetFigures
from tiermem.oasis.net.served import Served
from tiermem.oasis.pod_state import open_state
from tiermem.oasis.saved import Saved
from tiermem.oasis.settings import OasisSettings
from tiermem.oasis.storage.engine import StorageEngine, StorageFigures
from tiermem.oasis.storage.served import Volume
from tiermem.service.state import StateFile

# Looking through the pool's directory takes tens of milliseconds of a processor.
_TIDY_S = 5.0
_log = logging.getLogger(__name__)


class OasisDaemon:
    """Built from settings; `run` until cancelled, then `stop`.

    net, storage: the engines, and member: this host in the allocator; all are the control
    thread's. table: what is acted on. trouble: what failed in the last step, or empty.
    figures, storage_figures: as of the last report.
    """

    def __init__(self, settings: OasisSettings, last_words: LastWords) -> None:
        self.settings = settings
        self.trouble = ""
        self.table = Table(0)
        self.figures = NetFigures({}, {}, 0)
        self.storage_figures = StorageFigures({}, {})
        self._lives: dict[int, int] = {}
        self._last_words = last_words
        self._tidying, self._is_open = threading.Lock(), True
        self._file = StateFile(settings.state_file, Saved)
        saved = self._file.load() or Saved()
        # Later than the last one, whatever became of the clock.
        self.life = max(time.time_ns(), saved.life + 1)
        with contextlib.ExitStack() as undo:
            self.pool = undo.enter_context(open_pool(settings.pool, settings.host))
            self.state = open_state(settings, self.pool)
            undo.callback(self.state.close)
            self.member = Member(self.state, lease_s=settings.lease_s)
            self.net = NetEngine(settings, self.pool, self.life, last_words, saved.instances)
            self.storage = StorageEngine(settings, self.pool, self.life, self.save, saved.volumes)
            undo.pop_all()
        for nic in self.net.nics:
            nic.is_draining = nic.settings.interface in saved.draining
        for ssd in self.storage.ssds:
            ssd.is_draining = str(ssd.settings.path) in saved.draining
        self._engines: tuple[Engine, ...] = (self.net, self.storage)
        news = self.state.descriptors()
        self.control = Control(
            self._step,
            self._end,
            [one for engine in self._engines for one in engine.descriptors()],
            news=news,
            look_s=REPORT_S if news else settings.look_ms / 1000,
            report_s=REPORT_S,
        )

    async def run(self) -> None:
        """Serve for ever; raises what ended the control thread, if anything does.
        TiermemError where the state cannot be kept."""
        await asyncio.to_thread(self.save)
        self.control.start()
        finished = asyncio.wrap_future(self.control.finished)
        while not finished.done():
            await asyncio.to_thread(self._tidy)
            await asyncio.wait([finished], timeout=_TIDY_S)
        await finished

    def _tidy(self) -> None:
        """Beside the steps: what lives that are over have left in the pool."""
        with self._tidying:
            if not self._is_open:
                return
            try:
                sweep(self.pool, self.settings.host, self.life, self._lives)
                self.pool.collect()
            except TiermemError as error:
                self._complain(error)

    def _step(self, is_due: bool) -> None:
        try:
            self.pool.check_lease()
            table = self.member.step(self._report()) if is_due else self.member.look()
            if is_due or table is not self.table or self.member.has_news:
                self.table = table
                self._lives = self.member.lives()
                self._apply()
            if is_due:
                self.figures = self.net.figures()
                self.storage_figures = self.storage.figures()
                self.trouble = ""
        except TiermemError as error:
            self._complain(error)

    def _complain(self, error: TiermemError) -> None:
        if isinstance(error, LeaseLostError):
            self._die(error)
        if self.trouble != str(error):
            _log.error("%s", error)
        self.trouble = str(error)

    def _die(self, error: LeaseLostError) -> NoReturn:
        """At once, as if killed: every link may be others' memory by now, and threads go on
        writing to them. The next daemon takes over what instances see."""
        _log.critical("%s; this daemon ends, to be started again", error)
        logging.shutdown()
        self._last_words.forget()
        os._exit(error.exit_code)

    def _report(self) -> Report:
        engines = self._engines
        return Report(
            tuple(one for engine in engines for one in engine.devices()),
            tuple(one for engine in engines for one in engine.instances()),
            tuple(one for engine in engines for one in engine.unreachable()),
            self.life,
        )

    def _apply(self) -> None:
        pod = self.member.pod()
        view = View(
            self.settings.host,
            pod.devices,
            pod.instances,
            dict(self.table.assignments),
            self._lives,
        )
        for engine in self._engines:
            engine.apply(view)

    def pod(self) -> Pod:
        """As this host sees it, and with the table that it acts on."""
        seen = self.member.pod()
        return Pod.of(
            seen.devices.values(),
            seen.instances.values(),
            dict(self.table.assignments),
            self.table.loans,
        )

    def save(self) -> None:
        """Keep over a restart what was asked for. TiermemError."""
        nics = {one.settings.interface for one in self.net.nics if one.is_draining}
        ssds = {str(one.settings.path) for one in self.storage.ssds if one.is_draining}
        self._file.save(
            Saved(
                life=self.life,
                instances=tuple(one.saved for _, one in sorted(self.net.served.items())),
                volumes=tuple(one.saved for _, one in sorted(self.storage.served.items())),
                draining=frozenset(nics | ssds),
            )
        )

    def find(self, name: str) -> Served | Volume:
        """An instance of this host, by its name, its number here, or `HOST/NUMBER`.
        MissingError."""
        return self.storage.find(name) or self.net.find(name)

    def free_number(self) -> int:
        """For one more instance of this host. NoSpaceError."""
        for number in range(INSTANCES_MAX):
            if number not in self.net.served and number not in self.storage.served:
                return number
        raise NoSpaceError(f"host {self.settings.host} has {INSTANCES_MAX} instances already")

    def _end(self) -> None:
        """The pod is told at once that this host's devices and instances are gone."""
        devices = [
            replace(one, health=Health.FAILED)
            for engine in self._engines
            for one in engine.devices()
        ]
        for engine in self._engines:
            engine.close()
        with contextlib.suppress(TiermemError):
            self.state.report(Report(tuple(devices), life=self.life))
        self._close_pool()

    def _close_pool(self) -> None:
        with self._tidying:
            self._is_open = False
            self.state.close()
            self.pool.close()

    def stop(self) -> None:
        """Leave the system as it was found, and wait until it is."""
        if self.control.is_started:
            self.control.stop()
            return
        for engine in self._engines:
            engine.close()
        self._close_pool()
