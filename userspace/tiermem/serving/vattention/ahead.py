"""Mapping ahead: a thread that maps what the next steps need while this one computes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tiermem.errors import ConfigError, TiermemError
from tiermem.serving.vattention.allocator import Allocator


@dataclass(frozen=True)
class Ahead:
    """How far: the tokens of so many steps, and at most so many blocks of a request."""

    steps: int = 10
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.steps < 1 or self.blocks < 1:
            raise ConfigError(
                f"steps = {self.steps}, blocks = {self.blocks}: must be at least 1 each"
            )


class MappingThread:
    """Woken after a step that leaves a request short. It maps a block at a time, and the next
    one when nobody waits (see `turns`), so that a step waits for one at most.

    Errors of the memory are kept: the step that needs the block meets them itself.
    """

    def __init__(self, allocator: Allocator, ahead: Ahead) -> None:
        self._allocator, self._ahead = allocator, ahead
        self._is_ending = False
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self.mapped_blocks = 0
        self.last_error: TiermemError | None = None
        self._thread = threading.Thread(target=self._run, name="mapping ahead", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tokens have come: if there is something to map, the thread does it."""
        if not self._allocator.is_short(self._ahead.steps, self._ahead.blocks):
            return
        with self._lock:
            self._idle.clear()
            self._wanted.set()

    def wait(self, timeout_s: float) -> bool:
        """Until all is mapped that was to be; whether that came in time."""
        return self._idle.wait(timeout_s)

    def close(self) -> None:
        """Ends after the block it is at."""
        self._is_ending = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_ending:
            self._wanted.wait()
            self._wanted.clear()
            try:
                while not self._is_ending and self._allocator.map_ahead(
                    self._ahead.steps, self._ahead.blocks
                ):
                    self.mapped_blocks += 1
            except TiermemError as error:
                self.last_error = error
            with self._lock:
                if not self._wanted.is_set():
                    self._idle.set()
