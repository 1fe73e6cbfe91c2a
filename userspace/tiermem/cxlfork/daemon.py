"""cxlforkd: one host's share of CXLfork as a service.

All that blocks runs beside the event loop: checkpoints in one thread of their own
(ptrace belongs to the thread that attached), the rest in others. The daemon follows
what is published and removed in the pool, checks images ahead, keeps ghosts ready, and
gives back what ended clones held.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.checkpoint import Checkpoint
from tiermem.cxlfork.clone_journal import CloneJournal
from tiermem.cxlfork.clones import Clone, Clones
from tiermem.cxlfork.host import ForkHost
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.cgroups import NO_LIMITS, Limits
from tiermem.cxlfork.settings import ForkSettings
from tiermem.errors import LeaseLostError, TiermemError

_LOOK_S = 0.02
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """A checkpoint under way."""

    done_pages: int = 0
    pages: int = 0


@dataclass
class Totals:
    """Since the daemon started."""

    checkpoints: int = 0
    restores: int = 0
    failures: int = 0
    restore_ns: int = 0


class ForkDaemon:
    """Built from settings; `run` until cancelled, then `stop`."""

    def __init__(self, settings: ForkSettings) -> None:
        self.settings = settings
        self.host = ForkHost(settings.pool, settings.host, ghosts=settings.ghosts)
        self._journal = CloneJournal(settings.state_file)
        self.clones = Clones(settings.clones_max, self.host.cgroups, self._journal.load())
        self._end_bereaved()
        self.under_way: dict[str, Progress] = {}
        self.totals = Totals()
        self.trouble = ""
        self._tracer = ThreadPoolExecutor(1, "checkpoint")
        self._noting = threading.Lock()

    def _end_bereaved(self) -> None:
        bereaved = self.host.pool.bereaved()
        for clone in self.clones.all():
            if clone.identity in bereaved:
                _log.error(
                    "process %d: is ended, for image %s is not there any more: this host was "
                    "taken for dead, and its memory may be another's",
                    clone.pid,
                    clone.image,
                )
                clone.end()

    async def run(self) -> None:
        """Follow the pool for ever; what fails is told of and tried again. LeaseLostError: it
        is for the next daemon to find out what is left."""
        if self.host.cgroups.note:
            _log.warning("%s", self.host.cgroups.note)
        while True:
            try:
                await asyncio.to_thread(self._follow)
                self.trouble = ""
            except LeaseLostError:
                raise
            except TiermemError as error:
                if self.trouble != str(error):
                    _log.error("%s", error)
                self.trouble = str(error)
            await asyncio.sleep(self.settings.scan_s)

    def _follow(self) -> None:
        self.host.ghosts.refill()
        self.host.cgroups.sweep()
        for held in self.host.store.scan():
            if self.settings.verify_ahead:
                try:
                    held.make_ready()
                    _log.info("image %s: checked in %.1f ms", held.name, held.checked_ns / 1e6)
                except TiermemError as error:
                    _log.error("image %s: %s", held.name, error)
        self._forget_ended()
        # What other hosts wish away is gone when this one has collected.
        self.host.pool.collect()

    def _forget_ended(self) -> None:
        with self._noting:
            self._journal.keep(self.clones.saved())

    async def checkpoint(self, pid: int, name: str, options: Options) -> Checkpoint:
        """See ForkHost.checkpoint; one at a time."""
        if name in self.under_way:
            raise TiermemError(f"image {name!r}: a checkpoint of that name is under way")
        progress = self.under_way[name] = Progress()

        def note(done_pages: int, pages: int) -> None:
            progress.done_pages, progress.pages = done_pages, pages

        def take() -> Checkpoint:
            return self.host.checkpoint(pid, name, options, note)

        try:
            taken = await asyncio.get_running_loop().run_in_executor(self._tracer, take)
        except TiermemError:
            self.totals.failures += 1
            raise
        finally:
            del self.under_way[name]
        self.totals.checkpoints += 1
        _log.info("process %d: taken into image %s", pid, name)
        return taken

    async def restore(
        self,
        name: str,
        policy: Policy,
        count: int,
        stdio: tuple[int, int, int],
        limits: Limits = NO_LIMITS,
    ) -> list[Clone]:
        """So many new processes; all or none."""
        self.clones.check_room(count)
        made: list[Clone] = []
        try:
            for _ in range(count):
                one = await asyncio.to_thread(self.restore_one, name, policy, stdio, limits)
                made.append(one)
        except TiermemError:
            for clone in made:
                clone.end()
            raise
        return made

    def restore_one(
        self,
        name: str,
        policy: Policy,
        stdio: tuple[int, int, int],
        limits: Limits = NO_LIMITS,
    ) -> Clone:
        """One new process. It blocks, and may be called by several threads."""
        began_ns = time.monotonic_ns()
        try:
            self.clones.check_room(1)
            process = self.host.restore(name, policy, stdio, limits)
        except TiermemError:
            with self._noting:
                self.totals.failures += 1
            raise
        took_ns = time.monotonic_ns() - began_ns
        with self._noting:
            clone = self.clones.add(name, policy.value, process)
            try:
                # The daemon after this one finds it, or there is none.
                self._journal.add(clone.saved())
            except TiermemError:
                self.totals.failures += 1
                clone.end()
                raise
            self.totals.restores += 1
            self.totals.restore_ns += took_ns
        process.outlive()
        return clone

    async def wait(self, pid: int) -> int:
        """The exit status of a clone once it has ended; negative: the signal that ended it."""
        while (status := self.clones.status(pid)) is None:
            await asyncio.sleep(_LOOK_S)
        return status

    def state(self) -> Mapping[str, object]:
        """What `status` shows."""
        return {
            "pool": str(self.settings.pool),
            "host": self.settings.host,
            "ghosts": self.host.ghosts.ready,
            "images": len(self.host.store.all()),
            "clones": len(self.clones.all()),
            "totals": vars(self.totals),
            "cgroups": self.host.cgroups.note or str(self.host.cgroups.base),
            "trouble": self.trouble,
        }

    def stop(self) -> None:
        """Let go of everything; the clones go on, unless the settings say otherwise."""
        if self.settings.end_clones_at_exit:
            self.clones.end_all()
        self._forget_ended()
        self._tracer.shutdown()
        self.host.close()
