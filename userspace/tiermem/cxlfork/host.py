"""CXLfork on one host: its pool, the images in it, and the processes restored from them.

What the daemon is made of; it blocks, and may be called from several threads.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.checkpoint import Checkpoint, Progress, checkpoint
from tiermem.cxlfork.ghosts import Ghosts
from tiermem.cxlfork.image import Image
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import RestoredProcess, Source, restore
from tiermem.cxlfork.restoring.cgroups import NO_LIMITS, Cgroups, Limits
from tiermem.cxlfork.store import HeldImage, ImageStore, check_name
from tiermem.errors import DamagedError, ProcessGoneError
from tiermem.layer.pool import open_pool


class ForkHost:
    """See the module."""

    def __init__(self, pool: Path, host: int, *, ghosts: int) -> None:
        """Open the pool as that host. Everything that can be wrong with it is a TiermemError."""
        self.pool = open_pool(pool, host)
        self.store = ImageStore(self.pool)
        self.cgroups = Cgroups.find()
        self.cgroups.sweep()
        self.ghosts = Ghosts(ghosts, self.cgroups)
        self._sources: dict[HeldImage, Source] = {}

    def checkpoint(
        self, pid: int, name: str, options: Options, progress: Progress | None = None
    ) -> Checkpoint:
        """Take process `pid` into an image; it goes on running. NameTakenError; RefusedError
        names what cannot be taken along."""
        check_name(name)
        taken = checkpoint(self.pool, pid, name, options, progress)
        self.store.scan()
        return taken

    def restore(
        self,
        name: str,
        policy: Policy,
        stdio: tuple[int, int, int],
        limits: Limits = NO_LIMITS,
    ) -> RestoredProcess:
        """A new process from an image; stdio: descriptors for its 0, 1 and 2, where those
        were not files. Nothing is left of it where this fails, and where this process ends
        before it was told to `outlive` it. MissingError for limits that this host cannot
        keep."""
        held = self.store.find(name)
        ghost = self.ghosts.take()
        try:
            if limits != NO_LIMITS:
                ghost.limit(limits)
            with held.lock:
                source = self._source(held, held.make_ready())
                process = restore(source, ghost, policy, stdio, die_alone=True)
                # Not before it runs, which need not wait for this; while it would end with
                # this process, that this process holds the image is enough.
                with suppress(ProcessGoneError):
                    held.lend(ghost.pid)
                return process
        except DamagedError as error:
            held.condemn(str(error))
            ghost.close()
            raise
        except BaseException:
            ghost.close()
            raise

    def _source(self, held: HeldImage, image: Image) -> Source:
        """What restores of an image share; open until it is let go."""
        source = self._sources.get(held)
        if source is None:
            source = self._sources[held] = Source(self.pool, image, held.entry)

            def close() -> None:
                self._sources.pop(held).close()

            held.closers.append(close)
        return source

    def image(self, name: str) -> HeldImage:
        """An image, checked."""
        held = self.store.find(name)
        held.make_ready()
        return held

    def close(self) -> None:
        """Let go of everything. Restored processes go on, and hold their images themselves."""
        self.ghosts.close()
        self.store.close()
        self.pool.close()


def null_stdio() -> tuple[int, int, int]:
    """Descriptors of /dev/null, for who has none to give; to be closed."""
    first = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return first, os.dup(first), os.dup(first)
