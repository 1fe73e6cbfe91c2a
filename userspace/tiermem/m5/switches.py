"""The kernel's switches that tiering depends on: set while the daemon runs, then given back.

What was found is remembered in the state file before anything is changed, so
that a daemon that was killed gives back, after its restart and a clean end,
what its first run found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tiermem.errors import KernelError
from tiermem.layer.sysfs import Tree

DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"
NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"
WATERMARK_SCALE = "/proc/sys/vm/watermark_scale_factor"
WATERMARK_BOOST = "/proc/sys/vm/watermark_boost_factor"
DAMON_STAT = "/sys/module/damon_stat/parameters/enabled"
"""The kernel's own statistics by DAMON; while on, nobody else can use DAMON."""

_log = logging.getLogger(__name__)


@dataclass
class Switches:
    """Sets switches and remembers in `found` what they were."""

    tree: Tree = field(default_factory=Tree)
    found: dict[str, str] = field(default_factory=dict)
    ours: dict[str, str] = field(default_factory=dict)
    remember: Callable[[], None] = lambda: None
    """Called when `found` has grown, before the switch is changed: puts it on disk."""
    set_here: set[str] = field(default_factory=set)
    """Those that this run wanted otherwise than they were found, by it or a run that was killed."""

    def read(self, switch: str) -> str | None:
        """The switch's value; None where this kernel has none."""
        try:
            return self._path(switch).read_text().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KernelError(f"read {switch}", error.errno or 0) from error

    def set(self, switch: str, value: str) -> None:
        """Set it, unless it says so already."""
        before = self.read(switch)
        if switch in self.found:
            self.set_here.add(switch)
        if before is None or before == value:
            return
        # A switch found on an earlier run keeps what that run found.
        self.found.setdefault(switch, before)
        self.ours[switch] = value
        self.set_here.add(switch)
        self.remember()
        self._write(switch, value)
        # Some kernels show what was written as 1 as `true`; the disk must have it as it
        # will be read, or a run after a kill takes it for somebody else's doing.
        shown = self.read(switch) or value
        if shown != value:
            self.ours[switch] = shown
            self.remember()

    def restore(self, switches: Collection[str] | None = None) -> None:
        """Give back `switches`, or every one, that still have the value we gave them.

        One that somebody else has changed meanwhile is left alone, and said so.
        """
        for switch, before in self._found_of(switches).items():
            now = self.read(switch)
            if now == before:
                continue
            if now != self.ours.get(switch, now):
                _log.warning("%s was changed to %r by somebody else; left as it is", switch, now)
                continue
            try:
                self._write(switch, before)
            except KernelError as error:
                _log.error("%s", error)
        self.forget(switches)

    def forget(self, switches: Collection[str] | None = None) -> None:
        """Leave `switches`, or every one, as they are for good."""
        for switch in self._found_of(switches):
            del self.found[switch]
            self.ours.pop(switch, None)

    def _found_of(self, switches: Collection[str] | None) -> dict[str, str]:
        """`found`, or its part for `switches`: a copy."""
        return {
            switch: before
            for switch, before in self.found.items()
            if switches is None or switch in switches
        }

    def _path(self, switch: str) -> Path:
        """Where the switch, named by its usual path, lies in our tree."""
        mount, _, rest = switch.removeprefix("/").partition("/")
        return (self.tree.sysfs if mount == "sys" else self.tree.proc) / rest

    def _write(self, switch: str, value: str) -> None:
        try:
            self._path(switch).write_text(value)
        except OSError as error:
            raise KernelError(f"write {value} to {switch}", error.errno or 0) from error


def is_demotion_on(value: str | None) -> bool:
    """Whether demotion_enabled reads as on (kernels show `true` or `1`)."""
    return value in ("1", "true", "Y")
