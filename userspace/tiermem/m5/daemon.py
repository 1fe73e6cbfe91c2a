"""The M5 daemon: rounds at the pace the policy asks for, the local API, a clean end.

Everything runs in one event loop. Between two rounds the process sleeps; a
round is a few system calls and array operations. Whatever fails while running
(tracker unbound, promoter unloaded, process gone) is said in `status` and
tried again; only a wrong config or a host that cannot tier ends the daemon.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from tiermem.errors import ConfigError, TiermemError
from tiermem.layer.switches import read_switches
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_topology
from tiermem.m5.competitors import competing_movers
from tiermem.m5.engine import Engine
from tiermem.m5.live_settings import keep_fixed
from tiermem.m5.make_parts import make_parts, prepare_kernel
from tiermem.m5.phase_shift import ShiftDetector
from tiermem.m5.probe_feed import ProbeFeed
from tiermem.m5.recorder import Recorder
from tiermem.m5.rounds import Round, Rounds
from tiermem.m5.scope import make_scope
from tiermem.m5.settable import SETTABLE, is_settable
from tiermem.m5.settings import M5Settings
from tiermem.m5.state import Memory, SavedState
from tiermem.m5.switches import DAMON_STAT, Switches
from tiermem.m5.trackers.found import Found
from tiermem.service.config import with_change

NS_PER_S = 1_000_000_000
_RETRY_S = 2.0
# Reading all switches takes milliseconds; nobody turns them often.
_CHECK_S = 30.0
_SAVE_S = 60.0
# Between rounds, the traffic is looked at this often; a shift brings the next forward.
_LOOK_S = 0.2

_log = logging.getLogger(__name__)


class Daemon:
    """Built from settings; `start`, then `run` until cancelled, then `stop`."""

    def __init__(
        self, settings: M5Settings, tree: Tree | None = None, *, is_trial: bool = False
    ) -> None:
        """`is_trial`: the rounds count for nothing, and the state file stays as it is."""
        self.settings = settings
        self.tree = tree or Tree()
        self.warnings: list[str] = []
        self.tracker_trouble = ""
        self._memory = Memory(settings.state_file, self.tree.proc, is_trial=is_trial)
        saved = self._memory.found
        self.switches = Switches(self.tree, dict(saved.switches_found), dict(saved.switches_ours))
        self._tracker_found = Found(dict(saved.tracker_found))
        topology = read_topology(self.tree.sysfs, self.tree.proc)
        parts = make_parts(settings, topology, self.tree, time.monotonic_ns(), self._tracker_found)
        self.engine = Engine(
            parts, Rounds(saved.read_totals()), settings.dry_run, settings.demotion.swappiness
        )
        if saved.policy_name == settings.policy.name:
            self.engine.guard.restore(parts.policy, saved.policy)
        self.switches.remember = self._tracker_found.remember = self.save
        self._recorder = Recorder(settings.record) if settings.record else None
        self.probes = ProbeFeed(settings.probes)
        self._tracking = False
        self._owns_switches = not settings.dry_run
        self._shift = ShiftDetector()
        self._phase_began_ns: int | None = None
        self._next_check_ns = 0
        self._next_save_ns = 0

    def start(self) -> None:
        """Start the tracker, then set the switches; on failure all is as it was."""
        parts = self.engine.parts
        try:
            if self.settings.tracker.kind == "damon":
                # Even in a dry run: while it is on, the tracker cannot start.
                self.switches.set(DAMON_STAT, "N")
            parts.tracker.start()
            self._tracking = True
            if not self.settings.dry_run:
                self._prepare_kernel()
            self._check_competitors()
        except BaseException:
            self.stop()
            raise
        _log.info(
            "tracker %s, promoter %s, room by %s, policy %s%s; nodes %s over %s",
            parts.tracker.name,
            parts.promoter.name,
            parts.room.method,
            self.settings.policy.name,
            ", dry run" if self.engine.dry_run else "",
            list(parts.layout.fast_nodes),
            list(parts.layout.slow_nodes),
        )

    async def run(self) -> None:
        """Rounds for ever."""
        # What start-up made lives as long as the process: no need to scan it again.
        gc.collect()
        gc.freeze()
        self._next_save_ns = time.monotonic_ns() + round(_SAVE_S * NS_PER_S)
        while True:
            await self._pause(self.step())

    async def _pause(self, seconds: float) -> None:
        """Sleep until the next round, or until the slow tier's share of reads jumps."""
        monitor = self.engine.parts.monitor
        looked_ns = time.monotonic_ns()
        end_s = time.monotonic() + seconds
        # Whatever a policy asks for, the API gets its turn.
        await asyncio.sleep(0)
        while (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, _LOOK_S))
            share = monitor.look()
            if share is not None and self._shift.has_come(share):
                self._phase_began_ns = looked_ns
                return
            looked_ns = time.monotonic_ns()

    def step(self) -> float:
        """One round, or one try to get the tracker back; seconds until the next."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_check_ns:
            self._check_competitors()
            self._next_check_ns = now_ns + round(_CHECK_S * NS_PER_S)
        if now_ns >= self._next_save_ns:
            self.save()
            self._next_save_ns = now_ns + round(_SAVE_S * NS_PER_S)
        if not self._tracking and not self._restart_tracker():
            return _RETRY_S
        try:
            began_ns = self._phase_began_ns
            phase_ns = None if began_ns is None else now_ns - began_ns
            one = self.engine.run_round(now_ns, phase_ns=phase_ns)
        except TiermemError as error:
            self._lose_tracker(error)
            return _RETRY_S
        self._phase_began_ns = None
        if self._recorder is not None:
            self._recorder.write(one)
        return self._pause_s(one)

    def stop(self) -> None:
        """Give everything back: tracker, switches (unless told to keep them), state file."""
        parts = self.engine.parts
        if self._tracking:
            self._quietly(parts.tracker.stop)
            self._tracking = False
        self._quietly(self._give_switches_back)
        self._quietly(parts.promoter.close)
        if self._recorder is not None:
            self._recorder.close()
        self._quietly(self.save)

    def change(self, key: str, value: str) -> M5Settings:
        """Set one key of the config while running; ConfigError says what is allowed."""
        if not is_settable(key):
            raise ConfigError(
                f"{key}: cannot change while the daemon runs; those that can: {', '.join(SETTABLE)}"
            )
        settings = with_change(self.settings, key, value)
        if fixed := keep_fixed(self.settings, settings)[1]:
            raise ConfigError(f"{', '.join(fixed)}: needs a restart of the daemon to take effect")
        self._apply(settings)
        _log.info("set %s = %s", key, value)
        return settings

    def reload(self, settings: M5Settings) -> list[str]:
        """Take what may change from a config read again; the keys that need a restart."""
        settings, fixed = keep_fixed(self.settings, settings)
        self._apply(settings)
        return fixed

    def save(self) -> None:
        """Write the state file."""
        self._memory.save(
            SavedState(
                totals=asdict(self.engine.rounds.totals),
                policy_name=self.settings.policy.name,
                policy=self.engine.guard.snapshot(self.engine.parts.policy),
                switches_found=self.switches.found,
                switches_ours=self.switches.ours,
                tracker_found=self._tracker_found.notes,
            )
        )

    def _apply(self, settings: M5Settings) -> None:
        parts = self.engine.parts
        # What may be refused comes first, so that the old settings stay whole.
        scope = parts.scope
        if settings.scope != self.settings.scope:
            scope = make_scope(settings.scope, self.tree)
        self.engine.guard.reconfigure(parts.policy, settings.for_policy())
        parts.scope = scope
        parts.limiter.burst_s = settings.promoter.burst_s
        parts.limiter.set_limit(settings.promoter.rate_limit_MBps)
        parts.monitor.settings = settings.monitor
        if self.settings.dry_run and not settings.dry_run:
            self._prepare_kernel()
            self._check_competitors()
        self.engine.dry_run = settings.dry_run
        self.engine.swappiness = settings.demotion.swappiness
        logging.getLogger("tiermem").setLevel(settings.log_level.upper())
        self.settings = settings

    def _give_switches_back(self) -> None:
        # A dry run does not answer for what a run before it has left.
        switches = None if self._owns_switches else self.switches.set_here
        if self.settings.kernel.keep_at_exit:
            self.switches.forget(switches)
        else:
            self.switches.restore(switches)

    def _prepare_kernel(self) -> None:
        self._owns_switches = True
        parts = self.engine.parts
        parts.room = prepare_kernel(self.settings, parts.layout, self.switches)

    def _check_competitors(self) -> None:
        tracker = self.settings.tracker.kind
        try:
            warnings = competing_movers(read_switches(self.tree), tracker)
        except TiermemError as error:
            warnings = [str(error)]
        for warning in warnings:
            if warning not in self.warnings:
                _log.warning("%s", warning)
        self.warnings = warnings

    def _restart_tracker(self) -> bool:
        try:
            self.engine.parts.tracker.start()
        except TiermemError as error:
            self.tracker_trouble = str(error)
            return False
        _log.info("tracker %s is back", self.engine.parts.tracker.name)
        self._tracking = True
        self.tracker_trouble = ""
        return True

    def _lose_tracker(self, error: TiermemError) -> None:
        _log.error("tracker lost: %s; trying again every %g s", error, _RETRY_S)
        self.tracker_trouble = str(error)
        self.engine.rounds.totals.tracker_failures += 1
        self._quietly(self.engine.parts.tracker.stop)
        self._tracking = False

    def _pause_s(self, one: Round) -> float:
        pause_ns = max(one.decision.next_round_ns, self.engine.parts.tracker.shortest_round_ns)
        return pause_ns / NS_PER_S

    def _quietly(self, action: Callable[[], None]) -> None:
        """Clean-up goes on whatever fails."""
        try:
            action()
        except TiermemError as error:
            _log.error("%s", error)
