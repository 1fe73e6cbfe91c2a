"""What `in_guest/steady_traffic.py` has seen come back, while it goes on."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from tiermem.testbed import Guest

from tests.vm.cxlfork.services import PATIENCE_S, start

FOLDER = Path("/opt/tiermem/out")
NAME = "traffic"
KINDS = ("udp", "tcp")
_MORE = 20


@dataclass(frozen=True)
class Reply:
    """A number that came back; at_s: by the guest's clock."""

    kind: str
    number: int
    at_s: float


class TrafficLog:
    """The file that a guest writes, from the host."""

    def __init__(self, guest: Guest, *command: str) -> None:
        """command: what begins it in the guest, without the file."""
        self._file = guest.out_dir / NAME
        start(guest, NAME, *command, str(FOLDER / NAME))
        self.wait_for_more()

    def replies(self) -> list[Reply]:
        """All so far. AssertionError where the connection is broken."""
        lines = self._file.read_text().splitlines(keepends=True) if self._file.exists() else []
        found = []
        for line in lines:
            assert not line.startswith("broken"), line
            if line.endswith("\n"):
                kind, number, at_s = line.split()
                found.append(Reply(kind, int(number), float(at_s)))
        return found

    def wait_for_more(self) -> None:
        """Until what was sent from now on has come back, both ways."""
        last = self._last()
        deadline_s = time.monotonic() + PATIENCE_S
        while any(self._last()[kind] < last[kind] + _MORE for kind in KINDS):
            assert time.monotonic() < deadline_s, f"nothing more came than {self._last()}"
            time.sleep(0.2)

    def _last(self) -> dict[str, int]:
        """The highest number that has come back; 0 where none has."""
        return dict.fromkeys(KINDS, 0) | {one.kind: one.number for one in self.replies()}

    def longest_gaps_s(self, since: int) -> dict[str, float]:
        """Of each kind, between one and the next that is the reply `since` or a later one."""
        replies, gaps = list(enumerate(self.replies())), {}
        for kind in KINDS:
            came = [(place, one.at_s) for place, one in replies if one.kind == kind]
            gaps[kind] = max(
                at_s - before_s
                for (_, before_s), (place, at_s) in itertools.pairwise(came)
                if place >= since
            )
        return gaps
