"""Room in the fast tier: has the kernel push cold pages down before hot ones go up.

The kernel's LRU knows which pages of the fast tier are cold; nothing here
picks one. Two ways to ask it:

- `kswapd`, the default: raise vm.watermark_scale_factor, so that kswapd keeps a
  margin free in the background, and no more than that (no watermark boosts).
  Promotions wake it; those that find no room wait for it (engine.py).
- `reclaim`: write to /sys/devices/system/node/nodeN/reclaim (Linux 6.17 and
  newer). Exactly as much as is needed, at a moment of our choosing; but on
  Linux 7.3 it was measured to demote nothing and answer EAGAIN, which is why it
  must be asked for by name.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal, Protocol

from tiermem.errors import KernelError, MissingError
from tiermem.m5.hotlist import PAGE_BYTES
from tiermem.m5.settings import DemotionSettings
from tiermem.m5.switches import (
    DEMOTION,
    WATERMARK_BOOST,
    WATERMARK_SCALE,
    Switches,
    is_demotion_on,
)

RoomMethod = Literal["reclaim", "kswapd", "off"]
# One write is not interrupted, so a large demand is made in steps.
_STEP_PAGES = 2048


class RoomMaker(Protocol):
    """Makes room in the fast tier."""

    method: RoomMethod

    def make(self, pages: int, swappiness: int) -> int:
        """Ask for `pages` more free pages; returns how many the kernel says it freed."""


class NodeReclaim:
    """Proactive reclaim of the fast nodes, which demotes while demotion is enabled."""

    method: RoomMethod = "reclaim"

    def __init__(self, nodes: tuple[int, ...], sysfs: Path) -> None:
        self._files = [_reclaim_file(node, sysfs) for node in nodes]

    def make(self, pages: int, swappiness: int) -> int:
        """See RoomMaker.make. The kernel may free fewer: cold pages have run out."""
        freed = 0
        for file in self._files:
            while freed < pages:
                step = min(_STEP_PAGES, pages - freed)
                if not _reclaim(file, step, swappiness):
                    break
                freed += step
        return freed


class KswapdRoom:
    """Leaves demotion to kswapd, behind raised watermarks."""

    method: RoomMethod = "kswapd"

    def make(self, pages: int, swappiness: int) -> int:
        """Nothing to ask for: kswapd is woken by the promotions themselves."""
        return 0


class NoRoom:
    """Demotion is off: promotions go into what is free."""

    method: RoomMethod = "off"

    def make(self, pages: int, swappiness: int) -> int:
        """Never makes any."""
        return 0


def make_room_maker(
    settings: DemotionSettings, nodes: tuple[int, ...], switches: Switches
) -> RoomMaker:
    """Set the kernel's switches for the configured method and return its maker.

    MissingError where the method is named in the config and this kernel lacks it.
    """
    if settings.method == "off":
        return NoRoom()
    if switches.read(DEMOTION) is None:
        raise MissingError(
            f"{DEMOTION}: this kernel cannot demote (CONFIG_MIGRATION, CONFIG_NUMA); "
            'set demotion.method = "off" to promote into free memory only'
        )
    if not is_demotion_on(switches.read(DEMOTION)):
        switches.set(DEMOTION, "1")
    if settings.method == "reclaim":
        for node in nodes:
            file = _reclaim_file(node, switches.tree.sysfs)
            if not file.exists():
                raise MissingError(
                    f"{file}: not there (Linux 6.17 and newer have it); "
                    'set demotion.method = "kswapd" or "auto"'
                )
        return NodeReclaim(nodes, switches.tree.sysfs)
    before = int(switches.read(WATERMARK_SCALE) or 0)
    if before < settings.watermark_scale_factor:
        switches.set(WATERMARK_SCALE, str(settings.watermark_scale_factor))
    # A boost, given when a block of memory is split for another kind of pages,
    # has kswapd demote up to two and a half times the margin at once.
    switches.set(WATERMARK_BOOST, "0")
    return KswapdRoom()


def _reclaim_file(node: int, sysfs: Path) -> Path:
    return sysfs / f"devices/system/node/node{node}/reclaim"


def _reclaim(file: Path, pages: int, swappiness: int) -> bool:
    """Whether the kernel freed all of `pages`."""
    try:
        file.write_text(f"{pages * PAGE_BYTES} swappiness={swappiness}")
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINTR, errno.EBUSY):
            return False
        raise KernelError(
            f"demote {pages} pages through {file}", error.errno or errno.EIO
        ) from error
    return True
