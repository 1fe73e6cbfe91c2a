"""Processes taken and restored on this host, from a pool that is a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import pytest
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import image_name, open_image
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Ghost, RestoredProcess, Source, restore
from tiermem.errors import KernelError
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.targets import Target

GO_ON = """
import os, sys, time
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)
"""
"""For Python programs: wait_for(sys.argv[1]), between what is done before and after."""


class Clone:
    """A restored process, and what it prints."""

    def __init__(self, source: Source, policy: Policy, *, die_alone: bool) -> None:
        reading, writing = os.pipe()
        self.output = os.fdopen(reading)
        nothing = os.open(os.devnull, os.O_RDONLY)
        ghost = Ghost()
        try:
            stdio = (nothing, writing, writing)
            self.process: RestoredProcess = restore(
                source, ghost, policy, stdio, die_alone=die_alone
            )
        except BaseException:
            ghost.close()
            self.output.close()
            raise
        finally:
            os.close(writing)
            os.close(nothing)

    def line(self) -> str:
        """The next line that it prints."""
        return self.output.readline().rstrip("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.output.close()


class Cloner:
    """Takes programs and restores them; all are ended after the test."""

    def __init__(self, pool: Pool, stack: ExitStack) -> None:
        self.pool = pool
        self._stack = stack

    def take(self, target: Target, name: str = "it", options: Options | None = None) -> Source:
        """Its image, opened."""
        checkpoint(self.pool, target.pid, name, options)
        image = self._stack.enter_context(open_image(self.pool, name))
        entry = self.pool.find(image_name(name))
        assert entry is not None
        return self._stack.enter_context(Source(self.pool, image, entry))

    def restore(
        self, source: Source, policy: Policy = Policy.MOW, *, die_alone: bool = False
    ) -> Clone:
        """One more."""
        return self._stack.enter_context(Clone(source, policy, die_alone=die_alone))


@pytest.fixture(scope="session", autouse=True)
def _may_restore() -> None:
    """A container may refuse namespaces; nothing here can be shown then."""
    try:
        with Ghost():
            pass
    except KernelError as error:
        pytest.skip(f"namespaces are refused here: {error}")


@pytest.fixture
def cloner(pool: Pool) -> Iterator[Cloner]:
    """Over an empty pool."""
    with ExitStack() as stack:
        yield Cloner(pool, stack)
