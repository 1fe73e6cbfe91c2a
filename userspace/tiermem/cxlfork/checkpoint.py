"""Take a running process into the pool; it is stopped meanwhile, and goes on unharmed.

    with open_pool(Path("/dev/dax0.0"), host=0) as pool:
        taken = checkpoint(pool, pid, "warm")
        taken.stopped_ns

What cannot be taken along is refused before anything is copied (capture.refusals).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tiermem.cxlfork.capture.copying import copy_pages
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.capture.snapshot import refuse_before_stopping, take_snapshot
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.cxlfork.image import image_name
from tiermem.cxlfork.image_writer import Front, build_front
from tiermem.errors import MissingError, NameTakenError
from tiermem.layer.image_device import ImageDevice
from tiermem.layer.pool import Draft, Pool
from tiermem.native._fork import lib

Progress = Callable[[int, int], None]
"""Called with pages copied, and pages to copy."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A finished one. phases: nanoseconds, in their order."""

    name: str
    image_bytes: int
    pages: int
    stopped_ns: int
    phases: dict[str, int]


class _Clock:
    """What took how long."""

    def __init__(self) -> None:
        self.phases: dict[str, int] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """One phase, from here to the end of the block."""
        begin = time.monotonic_ns()
        yield
        self.phases[name] = time.monotonic_ns() - begin


def checkpoint(
    pool: Pool,
    pid: int,
    name: str,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """Take `pid` into the pool under `name`.

    RefusedError names what cannot be taken. NameTakenError, NoSpaceError,
    ProcessGoneError; whatever fails, the process goes on and the pool is as before.
    """
    options = options or Options()
    if pool.find(image_name(name)) is not None:
        raise NameTakenError(f"{pool.path}: has an image {name!r} already; `tiermem fork rm` it")
    refusals = Refusals(pid)
    refuse_before_stopping(pid, refusals)
    refusals.check()
    clock = _Clock()
    with ExitStack() as stack:
        device = _device(stack)
        memory = stack.enter_context(Memory(pid))
        begin = time.monotonic_ns()
        with clock.phase("stop"):
            stopped = stack.enter_context(StoppedProcess(pid))
        with clock.phase("look"):
            front = build_front(take_snapshot(stopped, memory, options, device))
        with clock.phase("reserve"):
            draft = stack.enter_context(pool.reserve(front.image_bytes))
        with clock.phase("copy"):
            _fill(draft, front, memory, progress)
        stopped.resume()
        stopped_ns = time.monotonic_ns() - begin
        with clock.phase("publish"):
            draft.publish(image_name(name), kind=lib.IMAGE_POOL_KIND)
    pages = int(front.layout.runs[:, 1].sum())
    return Checkpoint(name, front.image_bytes, pages, stopped_ns, clock.phases)


def _device(stack: ExitStack) -> ImageDevice | None:
    """For the A and D bits; without the module the image has none."""
    try:
        return stack.enter_context(ImageDevice())
    except MissingError:
        return None


def _fill(draft: Draft, front: Front, memory: Memory, progress: Progress | None) -> None:
    draft.append(front.data)
    copy_pages(draft, front.layout, memory, progress)
