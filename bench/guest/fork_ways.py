"""The ways in which a warm function starts once more, and what is prepared for each."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.guest.fork_criu import CriuImage
from bench.guest.fork_daemon import ForkDaemon
from bench.guest.fork_instances import (
    Instance,
    Pipes,
    command,
    kill_and_wait,
    make_named_pipes,
    start_cold,
)
from bench.guest.fork_process import WAKE
from bench.guest.fork_spec import COLD, CRIU_CXL, CRIU_DRAM, FORK, GHOST, ForkSpec
from bench.guest.processes import RunError

# Mounted by bench.fork_session: a tmpfs of local memory, and one of CXL memory.
CRIU_FOLDERS = {CRIU_DRAM: Path("/run/files-in-dram"), CRIU_CXL: Path("/run/files-in-cxl")}
IMAGE = "bench"

Awake = Callable[[], None]
"""Called when the instance has done its first useful instruction."""


@dataclass
class Started:
    """An instance that woke up, and the phases of its start as far as they are known."""

    instance: Instance
    phases_ns: dict[str, int]


class Ways:
    """A warm process (`original`), its images, and starts from them.

    The original serves forks and CXLfork; CRIU restores it under its own number, so that
    `end_original` comes before those.
    """

    def __init__(self, spec: ForkSpec, daemon: ForkDaemon) -> None:
        self._spec, self._daemon = spec, daemon
        self._named = make_named_pipes()
        self.original = self.cold(Pipes.open()).instance
        self.images_ns: dict[str, int] = {}
        self.image_bytes = 0
        self._criu: dict[str, CriuImage] = {}

    def warm_up(self) -> None:
        """Call it until its code is warm; A bits are cleared halfway, as the porter does."""
        for number in range(self._spec.warm_up):
            if number == self._spec.warm_up // 2:
                Path(f"/proc/{self.original.pid}/clear_refs").write_text("1")
            self.original.call()

    def take_images(self) -> None:
        """With CXLfork and with CRIU; the original goes on."""
        begin = time.monotonic_ns()
        taken = self._daemon.checkpoint(self.original.pid, IMAGE)
        self.images_ns["cxlfork"] = time.monotonic_ns() - begin
        self.image_bytes = int(taken["image_bytes"])
        for method, folder in CRIU_FOLDERS.items():
            begin = time.monotonic_ns()
            self._criu[method] = CriuImage(self.original.pid, folder / "image")
            self.images_ns[method] = time.monotonic_ns() - begin

    @property
    def criu_bytes(self) -> int:
        """Of CRIU's image."""
        return self._criu[CRIU_CXL].bytes

    def end_original(self) -> None:
        """Its number is free then."""
        self.original.close()

    def start(self, method: str, awake: Awake) -> Started:
        """One more of them, in the way that `method` names."""
        if method == FORK:
            return self._fork(awake)
        pipes = Pipes.open()
        if method == COLD:
            started = self.cold(pipes)
            awake()
            return started
        if method in CRIU_FOLDERS:
            return self._restore_criu(self._criu[method], pipes, awake)
        return self._restore(method.removesuffix(GHOST), pipes, awake)

    def prepare(self, method: str) -> None:
        """What has to be there before the start is demanded. RunError for a ghost too many."""
        if method.endswith(GHOST):
            self._daemon.wait_for_ghost()
        elif method not in (COLD, FORK, *CRIU_FOLDERS) and self._daemon.ghosts():
            raise RunError(f"{method}: a ghost is ready, and it should be made")

    def cold(self, pipes: Pipes) -> Started:
        """From nothing but its program."""
        instance = start_cold(command(self._spec.function, self._spec.footprint_mib), pipes)
        instance.wait_awake()
        return Started(instance, {})

    def _fork(self, awake: Awake) -> Started:
        os.write(self._named[0], WAKE)
        child = Instance(0, *map(os.dup, self._named), lambda: kill_and_wait(child.pid))
        self.original.ask_fork()
        child.wait_awake()
        awake()
        child.pid = self.original.number()
        return Started(child, {})

    def _restore(self, policy: str, pipes: Pipes, awake: Awake) -> Started:
        asked = self._daemon.ask_restore(IMAGE, policy, pipes)
        # The daemon answers first where it refuses.
        first, _, _ = select.select([pipes.answers, asked], [], [])
        if pipes.answers in first:
            awake()
        instance, phases_ns = self._daemon.restored(asked, pipes)
        pipes.close_given()
        instance.wait_awake()
        if pipes.answers not in first:
            awake()
        return Started(instance, phases_ns)

    def _restore_criu(self, image: CriuImage, pipes: Pipes, awake: Awake) -> Started:
        instance, criu = image.restore(pipes)
        instance.wait_awake()
        awake()
        phases_ns = image.statistics(criu)
        return Started(instance, phases_ns)

    def close(self) -> None:
        """Nothing of it is left, in memory or in the pool."""
        self._daemon.remove(IMAGE)
        for folder in CRIU_FOLDERS.values():
            shutil.rmtree(folder / "image", ignore_errors=True)
        for fd in self._named:
            os.close(fd)
