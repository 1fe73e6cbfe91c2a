"""Rounds written down for tests: which frame got which verdict and result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.monitor import Sample
from tiermem.m5.observation import Decision, MoveCosts, TierLoad, Verdict
from tiermem.m5.rounds import NOT_ASKED, Round

READS_PER_S = 1000.0


def a_round(
    now_ns: int,
    said: Mapping[int, Verdict | PromoteCode],
    *,
    number: int = 1,
    next_round_ns: int = 100_000_000,
) -> Round:
    """{frame: its verdict, or what the promoter made of it}; every frame is read alike."""
    is_asked = [isinstance(what, PromoteCode) for what in said.values()]
    verdicts = [Verdict.PROMOTE if isinstance(w, PromoteCode) else w for w in said.values()]
    results = [w if isinstance(w, PromoteCode) else NOT_ASKED for w in said.values()]
    load = TierLoad(0.0, 1 << 30)
    return Round(
        number=number,
        now_ns=now_ns,
        sample=Sample(load, load, MoveCosts(), 0),
        decision=Decision(
            np.array(list(said), dtype=np.uint64),
            np.array(verdicts, dtype=np.uint8),
            np.full(len(said), READS_PER_S),
            next_round_ns,
            "made up",
        ),
        results=np.array(results, dtype=np.uint8),
        moved_pages=sum(is_asked),
        room_pages=0,
        out_of_scope=0,
        spent_ns=0,
        dry_run=False,
    )
