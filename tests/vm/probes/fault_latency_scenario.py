"""Runs in the guest: a known number of first touches on each node, under the probe."""

from __future__ import annotations

from typing import Any

from ground_truth import Pages
from tiermem.probes import Probe


def run() -> dict[str, Any]:
    report = {}
    with Probe("fault-latency") as probe:
        report["attached"] = [f"{hook.kind} {hook.target}" for hook in probe.attached]
        for node in (0, 1):
            pages = Pages(600)
            pages.bind(node)
            before = probe.read()
            pages.touch()
            seen = probe.read().minus(before)
            pages.touch()
            again = probe.read().minus(before).minus(seen)
            report[f"node{node}"] = seen.as_dict()
            report[f"node{node} again"] = again.as_dict()
    return report
