"""Scope: whose pages the daemon may move.

By default everybody's. A cgroup is told by /proc/kpagecgroup, which has the
inode number of the owning memory cgroup for each frame; a set of processes by
their pagemaps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tiermem.errors import ConfigError, ProcessGoneError
from tiermem.layer.pages import read_cgroups, read_process_pages
from tiermem.layer.sysfs import Tree, read_text
from tiermem.m5.hotlist import U64, HotList
from tiermem.m5.settings import ScopeSettings


class Scope(Protocol):
    """Says which frames are in."""

    def contains(self, pages: U64, now_ns: int) -> npt.NDArray[np.bool_]:
        """One answer a frame."""


class Everybody:
    """No limit."""

    def contains(self, pages: U64, now_ns: int) -> npt.NDArray[np.bool_]:
        """All of them."""
        return np.ones(pages.size, dtype=np.bool_)


class CgroupScope:
    """Pages charged to one cgroup, or to one below it."""

    def __init__(self, cgroup: str, tree: Tree) -> None:
        base = tree.sysfs / "fs/cgroup"
        self._folder = base / cgroup.strip("/")
        if not self._folder.is_dir():
            raise ConfigError(f"scope.cgroup = {cgroup!r}: there is no cgroup {self._folder}")
        self._proc = tree.proc
        self._inodes = np.empty(0, dtype=np.uint64)
        self._next_look_ns = 0

    def contains(self, pages: U64, now_ns: int) -> npt.NDArray[np.bool_]:
        """See Scope.contains. New groups below are noticed within a second."""
        if now_ns >= self._next_look_ns:
            self._inodes = np.sort(np.fromiter(_inodes(self._folder), dtype=np.uint64))
            self._next_look_ns = now_ns + 1_000_000_000
        owners = read_cgroups(pages, self._proc)
        return np.isin(owners, self._inodes)


class ProcessScope:
    """Frames that some processes map; their page maps are read once a second.

    Processes that have ended have none, and need not be taken out of the config.
    """

    def __init__(self, pids: Sequence[int], tree: Tree) -> None:
        self._pids = tuple(pids)
        self._proc = tree.proc
        self._frames = np.empty(0, dtype=np.uint64)
        self._next_look_ns = 0

    def contains(self, pages: U64, now_ns: int) -> npt.NDArray[np.bool_]:
        """See Scope.contains."""
        if now_ns >= self._next_look_ns:
            self._frames = self._read_frames()
            self._next_look_ns = now_ns + 1_000_000_000
        if self._frames.size == 0:
            return np.zeros(pages.size, dtype=np.bool_)
        at = np.minimum(np.searchsorted(self._frames, pages), self._frames.size - 1)
        return np.asarray(self._frames[at] == pages, dtype=np.bool_)

    def _read_frames(self) -> U64:
        pieces = [np.empty(0, dtype=np.uint64)]
        for pid in self._pids:
            try:
                pieces += [
                    page_map.pfns[page_map.present]
                    for page_map in read_process_pages(pid, self._proc)
                ]
            except ProcessGoneError:
                continue
        return np.unique(np.concatenate(pieces))


def make_scope(settings: ScopeSettings, tree: Tree) -> Scope:
    """The scope that the config names. ConfigError where its cgroup is not there."""
    if settings.cgroup:
        return CgroupScope(settings.cgroup, tree)
    return ProcessScope(settings.pids, tree) if settings.pids else Everybody()


def leaves_out(pid: int, settings: ScopeSettings, tree: Tree) -> str:
    """The key and value that keep the pages of `pid` out of the scope; "" where none does."""
    if settings.pids and pid not in settings.pids:
        return f"scope.pids = {settings.pids}"
    if not settings.cgroup:
        return ""
    lines = (read_text(tree.proc / str(pid) / "cgroup") or "").splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    group = "/" + settings.cgroup.strip("/")
    if f"{own}/".startswith(f"{group.rstrip('/')}/"):
        return ""
    return f'scope.cgroup = "{settings.cgroup}"'


def keep_in_scope(
    lists: tuple[HotList, ...], scope: Scope, now_ns: int
) -> tuple[tuple[HotList, ...], int]:
    """`lists` without the entries out of scope, and how many those were."""
    kept, dropped = [], 0
    for one in lists:
        inside = scope.contains(one.pages, now_ns)
        dropped += int(inside.size - inside.sum())
        kept.append(HotList(one.unit, one.addresses[inside], one.counts[inside], one.interval_ns))
    return tuple(kept), dropped


def _inodes(folder: Path) -> Iterator[int]:
    for path, _folders, _files in os.walk(folder):
        try:
            yield Path(path).stat().st_ino
        except FileNotFoundError:
            continue
