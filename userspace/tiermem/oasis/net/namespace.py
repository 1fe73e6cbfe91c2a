"""Doing something in a network namespace: interfaces and sockets belong to where they were made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pyroute2 import netns

from tiermem.errors import KernelError, MissingError

_NAMED = Path("/run/netns")
_OF_THIS_THREAD = Path("/proc/thread-self/ns/net")


@contextlib.contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """This thread is in that namespace (a name of `ip netns`, or a path); None: it stays here.

    MissingError where there is none of that name, KernelError where it cannot be entered.
    """
    if namespace is None:
        yield
        return
    path = _NAMED / namespace
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MissingError(f"{path}: no such network namespace: {error.strerror}") from None
    here = os.open(_OF_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there, path)
        try:
            yield
        finally:
            _enter(here, _OF_THIS_THREAD)
    finally:
        os.close(there)
        os.close(here)


def identity(namespace: str | None) -> tuple[int, int] | None:
    """Equal for as long as a name means the same namespace; None where there is none."""
    try:
        found = (_OF_THIS_THREAD if namespace is None else _NAMED / namespace).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _enter(namespace: int, path: Path) -> None:
    try:
        netns.setns(namespace)
    except OSError as error:
        raise KernelError(f"enter the network namespace {path}", error.errno or 0) from None
