"""Where a function's instances come from: its image, or a cold start.

After `checkpoint_after` calls of an instance, when its code is warm, its image is taken;
A bits are cleared halfway there, so that those that are set then tell what calls use, not
what initialisation used. From time to time that is done anew (`relearn_s`).
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.criu import CriuImages
from tiermem.cxlfork.porter.dispatcher import Callee
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.images import ForkImages, Images
from tiermem.cxlfork.porter.instance import Instance, start_cold
from tiermem.errors import TiermemError
from tiermem.layer.nodes import PAGE_BYTES

_FIRST_GUESS_BYTES = 32 << 20
_RETRY_S = 30.0
_log = logging.getLogger(__name__)


def images_of(settings: PorterSettings) -> Images | None:
    """Those that the settings name; None: instances are always started cold."""
    if settings.start == "cold":
        return None
    if settings.start == "criu":
        return CriuImages(settings.criu_folder)
    return ForkImages(settings.fork_socket)


class ImageStarter:
    """See the module; `Starter` of dispatcher.py."""

    def __init__(self, settings: PorterSettings, proc: Path = Path("/proc")) -> None:
        self._settings = settings
        self._proc = proc
        self._images = images_of(settings)
        self._taken_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}
        self._bytes: dict[tuple[str, str], int] = {}
        self._how: dict[int, tuple[str, str]] = {}

    async def learn_images(self) -> None:
        """Which functions have an image already, whoever took it. MissingError without a daemon."""
        if self._images is not None:
            for name in await self._images.known():
                self._taken_s.setdefault(name, time.monotonic())

    async def start(self, name: str, policy: Policy) -> Instance:
        """Restored where there is an image that can be, else cold. TiermemError."""
        instance: Instance | None = None
        if name not in self._taken_s:
            with suppress(TiermemError):
                # Another host's porter may have taken one; to ask is cheaper than to start cold.
                await self.learn_images()
        if self._images is not None and name in self._taken_s:
            try:
                instance = await self._images.restore(name, policy)
            except TiermemError as error:
                _log.warning("function %s: %s; it is started cold", name, error)
                self._taken_s.pop(name, None)
        if instance is None:
            function = self._settings.functions[name]
            instance = await start_cold(function.file, function.timeout_s)
        self._how[instance.pid] = (name, instance.how)
        return instance

    def local_bytes(self, pid: int) -> int:
        """Its own pages in local memory; what it shares in CXL memory does not count."""
        try:
            fields = (self._proc / str(pid) / "statm").read_text().split()
        except OSError:
            return 0
        local_bytes = (int(fields[1]) - int(fields[2])) * PAGE_BYTES
        if pid in self._how:
            self._bytes[self._how[pid]] = local_bytes
        return local_bytes

    def expected_bytes(self, name: str, policy: Policy) -> int:
        """What the last one that was started in the same way takes."""
        how = policy.value if name in self._taken_s else "cold"
        return self._bytes.get((name, how), _FIRST_GUESS_BYTES)

    async def warmed_up(self, name: str, instance: Callee) -> None:
        """After each call: clear A bits, or take the image, when it is time for it."""
        after = self._settings.checkpoint_after
        if self._images is None or not self._wants_image(name):
            return
        if instance.calls == after // 2:
            self._clear_accessed(instance.pid)
        elif instance.calls >= after:
            await self._take(self._images, name, instance)

    def _wants_image(self, name: str) -> bool:
        now_s = time.monotonic()
        if now_s < self._not_before_s.get(name, 0.0):
            return False
        taken_s = self._taken_s.get(name)
        return taken_s is None or now_s - taken_s >= self._settings.relearn_s

    def _clear_accessed(self, pid: int) -> None:
        try:
            (self._proc / str(pid) / "clear_refs").write_text("1")
        except OSError as error:
            _log.warning("process %d: A bits cannot be cleared: %s", pid, error.strerror)

    async def _take(self, images: Images, name: str, instance: Callee) -> None:
        try:
            if name in self._taken_s:
                await images.remove(name)
            await images.take(name, instance.pid)
        except TiermemError as error:
            self._not_before_s[name] = time.monotonic() + _RETRY_S
            _log.warning("function %s: no image could be taken: %s", name, error)
            return
        self._taken_s[name] = time.monotonic()
