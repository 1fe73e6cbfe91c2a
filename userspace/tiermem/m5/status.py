"""What the daemon says of itself: one JSON-able picture for `status`, `top` and tests."""

from __future__ import annotations

import os
import resource
from typing import Any

from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.daemon import Daemon
from tiermem.m5.elector import density_ratio
from tiermem.m5.observation import VERDICT_MEANING, TierLoad, Verdict
from tiermem.m5.rounds import NOT_ASKED, Round

RECENT_SHOWN = 10


def picture(daemon: Daemon) -> dict[str, Any]:
    """The whole status."""
    engine = daemon.engine
    parts, totals, last = engine.parts, engine.rounds.totals, engine.rounds.last
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "dry_run": engine.dry_run,
        "tracker": {"name": parts.tracker.name, "trouble": daemon.tracker_trouble},
        "promoter": {"name": parts.promoter.name, "trouble": engine.promoter_trouble},
        "room": parts.room.method,
        "policy": {"name": daemon.settings.policy.name, "trouble": engine.guard.trouble},
        "warnings": [*daemon.warnings, *_probe_warnings(daemon)],
        "unavailable": _unavailable(last),
        "reason": last.decision.reason if last else "no round yet",
        "next_round_s": last.decision.next_round_ns / 1e9 if last else None,
        "tiers": _tiers(daemon, last),
        "costs": _costs(last),
        "rate_limit_MBps": parts.limiter.limit_MBps,
        "totals": {
            "rounds": totals.rounds,
            "candidates": totals.candidates,
            "moved_pages": totals.moved_pages,
            "room_pages": totals.room_pages,
            "out_of_scope": totals.out_of_scope,
            "tracker_failures": totals.tracker_failures,
            "promoter_failures": totals.promoter_failures,
            "move_ns": totals.move_ns,
            "verdicts": totals.verdicts,
            "results": totals.results,
        },
        "cpu": {
            "user_s": usage.ru_utime,
            "system_s": usage.ru_stime,
            "moving_s": daemon.engine.moving_ns / 1e9,
        },
        "recent": [round_summary(one) for one in list(engine.rounds.recent)[-RECENT_SHOWN:]],
    }


def _probe_warnings(daemon: Daemon) -> list[str]:
    return [
        f"probe {state.name}: {state.trouble}"
        for state in daemon.probes.states.values()
        if state.trouble
    ]


def round_summary(one: Round) -> dict[str, Any]:
    """One round in numbers, by verdict and by result."""
    asked = one.results[one.results != NOT_ASKED].tolist()
    return {
        "number": one.number,
        "monotonic_ns": one.now_ns,
        "reason": one.decision.reason,
        "verdicts": {
            verdict.name.lower(): count for verdict, count in one.decision.counts().items() if count
        },
        "results": {
            PromoteCode(code).name.lower(): asked.count(code) for code in sorted(set(asked))
        },
        "moved_pages": one.moved_pages,
        "room_pages": one.room_pages,
        "spent_ns": one.spent_ns,
        "dry_run": one.dry_run,
    }


def verdict_meaning(code: int) -> str:
    """A verdict in words, for people."""
    return VERDICT_MEANING[Verdict(code)]


def _tiers(daemon: Daemon, last: Round | None) -> dict[str, Any]:
    layout = daemon.engine.parts.layout
    loads = (last.sample.fast, last.sample.slow) if last else (None, None)
    fast, slow = loads
    return {
        "fast": {"nodes": list(layout.fast_nodes), **_load(fast)},
        "slow": {"nodes": list(layout.slow_nodes), **_load(slow)},
        "density_ratio": density_ratio(slow, fast) if fast and slow else None,
    }


def _load(load: TierLoad | None) -> dict[str, Any]:
    if load is None:
        return {"read_Bps": None, "active_bytes": None, "free_bytes": None}
    return {
        "read_Bps": load.read_Bps,
        "active_bytes": load.active_bytes,
        "free_bytes": load.free_bytes,
    }


def _costs(last: Round | None) -> dict[str, float] | None:
    if last is None:
        return None
    costs = last.sample.costs
    return {
        "promote_ns": costs.promote_ns,
        "demote_ns": costs.demote_ns,
        "gain_ns": costs.gain_ns,
    }


def _unavailable(last: Round | None) -> list[str]:
    """What this host does not let us know, and what is done without it."""
    if last is None or last.sample.fast.read_Bps is not None:
        return []
    return [
        "read bandwidth of the tiers: no tracker device counts it here, so the density ratio is "
        "unknown, rounds come at base_hz, and pages pushed out are taken to be cold"
    ]
