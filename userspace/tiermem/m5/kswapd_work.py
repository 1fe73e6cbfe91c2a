"""What the kernel's demotion costs: kswapd's CPU time over the pages that it demoted.

A promotion into a full tier wakes kswapd, which looks at several pages for each
that it pushes down, and a wake-up takes a whole watermark's worth. None of that
shows in the promotion's own time, so it is measured here: CPU time from the
threads' schedstat, pages from the nodes' vmstat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.sysfs import Tree

_DEMOTED = re.compile(r"^pgdemote_kswapd (\d+)", re.MULTILINE)
# Fewer pages in a period say little; they are counted into the next.
_FEW_PAGES = 64


@dataclass(frozen=True, slots=True)
class KswapdWork:
    """Since boot, over the fast nodes."""

    pages: int
    cpu_ns: int


class KswapdMeter:
    """Tells what kswapd of `nodes` did since it was last asked."""

    def __init__(self, nodes: tuple[int, ...], tree: Tree) -> None:
        self._vmstats = [tree.sysfs / f"devices/system/node/node{node}/vmstat" for node in nodes]
        self._schedstats = _threads({f"kswapd{node}" for node in nodes}, tree.proc)
        # Measured from the first question on: what kswapd did before, with demotion off
        # perhaps and nowhere to put a page, says nothing about demotions.
        self._last: KswapdWork | None = None

    def take(self) -> KswapdWork:
        """Pages demoted and CPU time taken since the last answer that was not nothing.

        All zero while it has demoted next to nothing, or where it cannot be measured.
        """
        now, last = self._read(), self._last
        if now is None or last is None:
            self._last = now
            return KswapdWork(0, 0)
        if now.pages - last.pages < _FEW_PAGES:
            return KswapdWork(0, 0)
        self._last = now
        return KswapdWork(now.pages - last.pages, now.cpu_ns - last.cpu_ns)

    def _read(self) -> KswapdWork | None:
        if not self._schedstats:
            return None
        try:
            found = [_DEMOTED.search(path.read_text()) for path in self._vmstats]
            pages = sum(int(one[1]) for one in found if one)
            return KswapdWork(pages, sum(int(_first(path)) for path in self._schedstats))
        except (OSError, ValueError, IndexError):  # a node went offline, and kswapd with it
            return None


def _first(path: Path) -> str:
    return path.read_text().split()[0]


def _threads(names: set[str], proc: Path) -> list[Path]:
    """The schedstat files of kernel threads with these names."""
    found = []
    for comm in proc.glob("[0-9]*/comm"):
        try:
            # Only kernel threads have no mappings; any program may call itself kswapd0.
            is_kernels = not (comm.parent / "maps").read_text()
            if comm.read_text().strip() in names and is_kernels:
                found.append(comm.parent / "schedstat")
        except OSError:  # it has just ended
            continue
    return found
