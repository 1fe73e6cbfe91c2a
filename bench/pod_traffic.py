"""What hosts, and pods of hosts, need of NICs for the traffic that goes through them.

Not what instances are given (bench.pod_packing) but what they send and receive: mean rates in
windows of a stated length. A NIC carries as much in as out, and is built for the busier way.

Each host has what it needs itself, as if NICs could be had of any size, and a pod has what
its hosts need together: in all windows (`max`), or in all but 1/10,000 of them (`p9999`).
So savings are only those of hosts that are not busy together. With hosts built alike, each
for the worst of them, and pods too, there is more to save (`alike`).

Pods are of neighbours; hosts that are left over when a size does not divide them are left out
of that size's figures, with pooling and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tiermem.errors import ConfigError

WAYS = {"max": 1.0, "p9999": 0.9999}
"""Share of the windows in which what there is suffices."""

Rates = npt.NDArray[np.float64]
"""Bytes/s: of shape (hosts, 2, windows), in and out."""


@dataclass(frozen=True)
class Traffic:
    """Of hosts, in windows of that length."""

    rates: Rates
    window_s: float


@dataclass(frozen=True)
class Outcome:
    """saved, saved_alike: the share of bandwidth saved, by way and hosts of a pod.

    most: what pods of any size could save, by way: all that hosts have above their mean, in
    the way that is busier for all of them together. windows: how many there were.
    """

    saved: dict[str, dict[int, float]]
    saved_alike: dict[str, dict[int, float]]
    most: dict[str, float]
    hosts: int
    windows: int
    window_s: float


def coarser(traffic: Traffic, factor: int) -> Traffic:
    """Of windows so many times as long; what does not fill one at the end is left out."""
    hosts, ways, windows = traffic.rates.shape
    whole = traffic.rates[:, :, : windows - windows % factor]
    return Traffic(whole.reshape(hosts, ways, -1, factor).mean(axis=3), traffic.window_s * factor)


def pooled(rates: Rates, size: int) -> Rates:
    """Of pods of so many hosts."""
    hosts, ways, windows = rates.shape
    pods = hosts // size
    return np.asarray(rates[: pods * size].reshape(pods, size, ways, windows).sum(axis=1))


def needed(rates: Rates, way: str) -> npt.NDArray[np.float64]:
    """By each host or pod: bytes/s in the busier way."""
    return np.asarray(np.quantile(rates, WAYS[way], axis=2).max(axis=1))


def simulate(traffic: Traffic, sizes: Sequence[int]) -> Outcome:
    """sizes: hosts of a pod. ConfigError: there are fewer."""
    if max(sizes) > len(traffic.rates):
        few = f"the trace fills {len(traffic.rates)} hosts"
        raise ConfigError(f"{few}, and pods of {max(sizes)} are simulated")
    saved: dict[str, dict[int, float]] = {way: {} for way in WAYS}
    alike: dict[str, dict[int, float]] = {way: {} for way in WAYS}
    alone = {way: needed(traffic.rates, way) for way in WAYS}
    for size in sizes:
        rates = pooled(traffic.rates, size)
        for way in WAYS:
            shared, own = needed(rates, way), alone[way][: len(rates) * size]
            saved[way][size] = _saved(shared.sum(), own.sum())
            alike[way][size] = _saved(shared.max(), size * own.max())
    mean = traffic.rates.mean(axis=2).sum(axis=0).max()
    return Outcome(
        saved,
        alike,
        {way: _saved(mean, alone[way].sum()) for way in WAYS},
        len(traffic.rates),
        traffic.rates.shape[2],
        traffic.window_s,
    )


def _saved(shared: float, alone: float) -> float:
    """Nothing, where nothing is needed. Sums are not exact, and -0 % is none."""
    return round(1 - float(shared / alone), 12) + 0.0 if alone > 0 else 0.0
