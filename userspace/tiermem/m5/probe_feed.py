"""Kernel probes beside the daemon: a child process each, whose counts the metrics show.

A probe needs bcc and a compiler, seconds and some hundred MB: none of it belongs
into the daemon. So each is a `tiermem probe NAME --json` of its own, which prints
what was counted in each interval; here the intervals are added up. A probe that
ends is started again, later each time; one that cannot run is a line in `status`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiermem.m5.settings import ProbeSettings

_FIRST_RETRY_S, _LAST_RETRY_S = 5.0, 300.0
_STOP_S = 10.0
_LINE_BYTES = 1 << 20
_KNOWN_BY = ("reason", "mode", "via", "node", "from_node", "to_node", "outcome", "who", "activity")

_log = logging.getLogger(__name__)

Key = tuple[str, tuple[tuple[str, str], ...]]
"""Name of a list in a probe's answer, and the labels of one of its rows."""


@dataclass
class ProbeState:
    """One probe: how it is, and the sums of its rows' counts since the daemon began.

    sums: by list and labels, the counts by name (`slots_from_ns` is a table of its own).
    """

    name: str
    trouble: str = "not attached yet"
    pid: int | None = None
    starts: int = 0
    intervals: int = 0
    sums: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add one interval. TypeError or ValueError for what no probe prints."""
        for name, rows in answer.items():
            for row in _as_rows(rows):
                self._add_row(name, row)
        self.intervals += 1
        self.trouble = ""

    def _add_row(self, name: str, row: Mapping[str, Any]) -> None:
        labels = tuple((key, _label(row[key])) for key in _KNOWN_BY if key in row)
        sums = self.sums.setdefault((name, labels), {})
        for key, value in row.items():
            if key in _KNOWN_BY or isinstance(value, float):  # means and quantiles do not add up
                continue
            if isinstance(value, Mapping):
                table = sums.setdefault(key, {})
                for slot, count in value.items():
                    table[int(slot)] = table.get(int(slot), 0) + int(count)
            else:
                sums[key] = sums.get(key, 0) + int(value)


def _as_rows(found: object) -> list[Mapping[str, Any]]:
    """A list of rows, or a table of them by outcome; sums over all rows are left out."""
    if isinstance(found, Mapping):
        return [{"outcome": label, **row} for label, row in found.items()]
    return found if isinstance(found, list) else []


def _label(value: object) -> str:
    return "none" if value is None else str(value)


def probe_command(name: str, period_s: float) -> list[str]:
    """How a probe is run."""
    command = [sys.executable, "-m", "tiermem.cli", "probe", name]
    return [*command, "--json", "--interval", str(period_s)]


class ProbeFeed:
    """Runs the configured probes until cancelled; `states` can be read at any time."""

    def __init__(
        self,
        settings: ProbeSettings,
        command: Callable[[str, float], list[str]] = probe_command,
        first_retry_s: float = _FIRST_RETRY_S,
    ) -> None:
        self._period_s = settings.period_s
        self._command = command
        self._first_retry_s = first_retry_s
        self.states = {name: ProbeState(name) for name in settings.names}

    async def run(self) -> None:
        """All probes, each in a task of its own; ends them when cancelled."""
        async with asyncio.TaskGroup() as group:
            for state in self.states.values():
                group.create_task(self._keep(state))

    async def _keep(self, state: ProbeState) -> None:
        retry_s = self._first_retry_s
        while True:
            before = state.intervals
            state.trouble = await self._follow(state)
            _log.warning("probe %s: %s; trying again in %g s", state.name, state.trouble, retry_s)
            await asyncio.sleep(retry_s)
            worked = state.intervals > before
            retry_s = self._first_retry_s if worked else min(2 * retry_s, _LAST_RETRY_S)

    async def _follow(self, state: ProbeState) -> str:
        """One run of the probe's process; why it ended."""
        state.starts += 1
        child = await _start(self._command(state.name, self._period_s))
        state.pid = child.pid
        errors = asyncio.create_task(_last_line(child))
        try:
            wrong = await _read_answers(child, state)
            if wrong:
                return wrong
            status = await child.wait()
            return await errors or f"ended with status {status}"
        finally:
            state.pid = None
            errors.cancel()
            await asyncio.gather(errors, return_exceptions=True)
            await _end(child)


async def _start(command: list[str]) -> asyncio.subprocess.Process:
    """The process; cancelled while it starts, it is ended all the same."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise


async def _read_answers(child: asyncio.subprocess.Process, state: ProbeState) -> str:
    assert child.stdout is not None
    try:
        async for line in child.stdout:
            state.add(json.loads(line))
    except (ValueError, TypeError, AttributeError) as error:
        return f"printed what is no probe's answer ({error})"
    return ""


async def _last_line(child: asyncio.subprocess.Process) -> str:
    """The last line on stderr, which is where a command says what it lacks."""
    assert child.stderr is not None
    last = ""
    with suppress(ValueError):  # a line beyond all bounds
        async for line in child.stderr:
            last = line.decode(errors="replace").strip() or last
    return last


async def _end(child: asyncio.subprocess.Process) -> None:
    """Ends it, by force if need be, and reads its pipes to their ends, which closes them."""
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        # Not wait_for: before Python 3.12 a cancellation can get lost in it.
        async with asyncio.timeout(_STOP_S):
            await child.communicate()
    except TimeoutError:
        child.kill()
        await child.communicate()


def cpu_seconds(pid: int | None, proc: Path = Path("/proc")) -> float:
    """CPU time that a probe's process has taken, 0 where there is none."""
    try:
        return int((proc / str(pid) / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
