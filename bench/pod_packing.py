"""What hosts, and pods of hosts, need of NICs and SSDs while VMs come and go.

VMs are placed by vCPUs and memory, on the fullest host that has room (best fit) and no more
VMs of the same application than that allows, or are turned away. What is asked of devices
does not steer that, with pooling or without: so both are compared on the same placement, and
pooling is not credited with placing better.

Hosts are built alike. Without pooling each needs what the worst of them needs, with pooling
each pod what the worst pod needs: ever (`peak`), or in all but 1/1000 of the time
(`mostly`). The more hosts there are, the worse is the worst of them, and of pods: so it is
also said what is saved where each host and pod has what it ever needs itself (`own`).

A pod's VMs are taken to be spread over its devices at will, so what is lost by
a VM having one NIC, and what spare devices for failures cost or save, is not in it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.vm_requests import Requests
from bench.vm_traces import Numbers

KINDS = ("nic", "ssd")
WAYS = {"peak": 1.0, "mostly": 0.999}
"""Share of the time in which what there is suffices."""
SAMPLE_DAYS = 15 / (24 * 60)


@dataclass(frozen=True)
class Outcome:
    """saved: the share of capacity saved, by way, kind and hosts of a pod. saved_own: the same
    of peaks, with hosts and pods that are not built alike, by kind and hosts of a pod.

    stranded: of what hosts are built with (`peak`), by kind, the share that no VM is given,
    on the mean over the second half of the time. core: vCPUs in use, in the same way.
    """

    saved: dict[str, dict[str, dict[int, float]]]
    saved_own: dict[str, dict[int, float]]
    stranded: dict[str, float]
    core: float
    turned_away: int
    vms: int


class Demand:
    """What is asked of devices: now, at most by pods of each size, and sampled in time."""

    def __init__(self, hosts: int, sizes: Sequence[int]) -> None:
        self.now = np.zeros((hosts, len(KINDS)))
        self.peaks = {size: np.zeros((hosts // size, len(KINDS))) for size in (1, *sizes)}
        self.samples: list[Numbers] = []

    def add(self, host: int, demand: Numbers) -> None:
        """A VM begins there."""
        self.now[host] += demand
        for size, peaks in self.peaks.items():
            pod = host // size
            asked = self.now[pod * size : (pod + 1) * size].sum(axis=0)
            peaks[pod] = np.maximum(peaks[pod], asked)

    def needed(self, way: str, size: int) -> Numbers:
        """By each pod of that size, by kind."""
        if WAYS[way] == 1.0:
            return np.asarray(self.peaks[size].max(axis=0))
        samples = np.array(self.samples)
        pods = samples.reshape(len(samples), -1, size, len(KINDS)).sum(axis=2)
        return np.asarray(np.quantile(pods.reshape(-1, len(KINDS)), WAYS[way], axis=0))


def best_fit(free: Numbers, needs: Numbers, open_to: npt.NDArray[np.bool_]) -> int | None:
    """The host that has the least vCPUs left of those with room; None: no host.

    free: vCPUs and memory, of shape (hosts, 2). open_to: which hosts may have it.
    """
    # A full host's sums are not exact.
    fits = np.flatnonzero((free >= needs - 1e-9).all(axis=1) & open_to)
    return int(fits[free[fits, 0].argmin()]) if len(fits) else None


def simulate(requests: Requests, hosts: int, sizes: Sequence[int]) -> Outcome:
    """Place all of them. `sizes`: hosts of a pod; each divides `hosts`."""
    free = np.ones((hosts, 2))
    needs = np.stack([requests.core, requests.memory], axis=1)
    demands = np.stack([requests.nic, requests.ssd], axis=1)
    demand = Demand(hosts, sizes)
    crowds: defaultdict[int, Numbers] = defaultdict(lambda: np.zeros(hosts))
    running: list[tuple[float, int, int]] = []
    cores: list[float] = []
    turned_away = 0
    next_sample = 0.0
    for number, begin in enumerate(requests.begin):
        while running and running[0][0] <= begin:
            _, done, host = heapq.heappop(running)
            free[host] += needs[done]
            demand.now[host] -= demands[done]
            crowds[requests.group[done]][host] -= 1
        if begin >= next_sample:
            next_sample = begin + SAMPLE_DAYS
            demand.samples.append(demand.now.copy())
            cores.append(1 - float(free[:, 0].mean()))
        crowd = crowds[requests.group[number]]
        found = best_fit(free, needs[number], crowd < requests.most[number])
        if found is None:
            turned_away += 1
            continue
        free[found] -= needs[number]
        crowd[found] += 1
        demand.add(found, demands[number])
        heapq.heappush(running, (requests.end[number], number, found))
    return _outcome(demand, cores, sizes, turned_away, len(needs))


def _outcome(
    demand: Demand, cores: list[float], sizes: Sequence[int], turned_away: int, vms: int
) -> Outcome:
    half = len(cores) // 2
    used = np.mean(demand.samples[half:], axis=(0, 1))
    saved = {
        way: {
            name: {
                size: _saved(demand.needed(way, size)[kind], size * demand.needed(way, 1)[kind])
                for size in sizes
            }
            for kind, name in enumerate(KINDS)
        }
        for way in WAYS
    }
    own = {size: peaks.sum(axis=0) for size, peaks in demand.peaks.items()}
    built = demand.needed("peak", 1)
    return Outcome(
        saved=saved,
        saved_own={
            name: {size: _saved(own[size][kind], own[1][kind]) for size in sizes}
            for kind, name in enumerate(KINDS)
        },
        stranded={name: _saved(used[kind], built[kind]) for kind, name in enumerate(KINDS)},
        core=float(np.mean(cores[half:])),
        turned_away=turned_away,
        vms=vms,
    )


def _saved(shared: float, alone: float) -> float:
    """Nothing, where nothing is needed."""
    return 1 - float(shared / alone) if alone > 0 else 0.0
