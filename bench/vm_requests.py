"""Which VMs are asked for, and when: those of a public trace, or drawn ones.

Of a trace (bench.vm_traces) a random share of the requests is taken, as many as the
simulated hosts can hold.

**Drawn requests** stand for it where it is not at hand. Published are:

- sizes: Azure's Dsv4, Ddsv4, Esv4 and Edsv4 series (Microsoft's documentation of VM sizes,
  2020): 2 to 64 vCPUs, 4 or 8 GiB of memory and 500 Mb/s a vCPU (30 Gb/s for 64), and with
  a `d` 37.5 GiB of local SSD a vCPU, without it none;
- their host: 80 vCPUs and 504 GiB (Ddsv4 Type 1 dedicated host);
- that most VMs are small and short-lived, and few long ones make up most of the hours
  (Cortez et al., Resource Central, SOSP 2017).

Assumed, as no numbers of it are published: all four series are asked for equally often; each
size half as often as the next smaller one; lifetimes are lognormal with a median of
2 hours and sigma 2 (a mean of 15 hours); requests come at random. Bandwidth is a fixed share
of vCPUs in these series, as it is not in a fleet of all of them: a host whose vCPUs are all
given away has given all of its bandwidth away too, so drawn requests say little of NICs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.errors import ConfigError

from bench.vm_traces import AZURE_DAYS, Numbers, read_trace

DAYS = AZURE_DAYS
"""The span of drawn requests."""
OVERLOAD = 1.1
"""Vcpu-hours that are asked for over those that there are: hosts are full, as in a region
that grows into its capacity, and some requests are turned away."""

SIZES = (2, 4, 8, 16, 32, 64)
SERIES = ((4.0, 0.0), (4.0, 37.5), (8.0, 0.0), (8.0, 37.5))
"""GiB of memory and of SSD a vCPU: Dsv4, Ddsv4, Esv4, Edsv4."""
MEMORY_MAX_GIB = 504.0
MBPS_A_VCPU, MBPS_MAX = 500.0, 30_000.0
HOST_VCPUS, HOST_MEMORY_GIB = 80.0, 504.0
LIFE_MEDIAN_DAYS, LIFE_SIGMA = 2 / 24, 2.0


@dataclass(frozen=True)
class Requests:
    """VMs in the order of their begin: times in days, and what each takes.

    core, memory: shares of a host. nic, ssd: in a unit that is the same for all. group, most:
    of which application it is, by number, and how many of that may share a host.
    """

    begin: Numbers
    end: Numbers
    core: Numbers
    memory: Numbers
    nic: Numbers
    ssd: Numbers
    group: npt.NDArray[np.int64]
    most: Numbers


def load_requests(path: Path | None, hosts: int, seed: int) -> Requests:
    """For so many hosts: a sample of the trace's, or drawn ones. ConfigError."""
    rng = np.random.default_rng(seed)
    return drawn(hosts, rng) if path is None else sampled(path, hosts, rng)


def drawn(hosts: int, rng: np.random.Generator) -> Requests:
    """See the module."""
    odds = 0.5 ** np.arange(len(SIZES))
    odds /= odds.sum()
    mean_share = float(np.dot(odds, SIZES)) / HOST_VCPUS
    mean_days = LIFE_MEDIAN_DAYS * np.exp(LIFE_SIGMA**2 / 2)
    count = rng.poisson(OVERLOAD * hosts * DAYS / (mean_share * mean_days))
    begin = np.sort(rng.uniform(0, DAYS, count))
    vcpus = rng.choice(np.array(SIZES, float), count, p=odds)
    memory_gib, ssd_gib = np.array(SERIES)[rng.integers(len(SERIES), size=count)].T * vcpus
    return Requests(
        begin,
        begin + LIFE_MEDIAN_DAYS * rng.lognormal(0, LIFE_SIGMA, count),
        vcpus / HOST_VCPUS,
        np.minimum(memory_gib, MEMORY_MAX_GIB) / HOST_MEMORY_GIB,
        np.minimum(vcpus * MBPS_A_VCPU, MBPS_MAX),
        ssd_gib,
        np.zeros(count, np.int64),
        np.full(count, np.inf),
    )


def sampled(path: Path, hosts: int, rng: np.random.Generator) -> Requests:
    """A random share of the trace's requests. ConfigError."""
    trace = read_trace(path)
    rows = trace.rows
    begin, end = rows[:, 0], np.where(np.isnan(rows[:, 1]), np.inf, rows[:, 1])
    days = np.minimum(end, trace.days) - np.maximum(begin, 0)
    asked = float(np.dot(np.maximum(days, 0), rows[:, 2]))
    share = OVERLOAD * hosts * trace.days / asked if asked > 0 else 0.0
    chosen = np.flatnonzero((rng.random(len(rows)) < share) & (days > 0))
    if not len(chosen):
        raise ConfigError(f"{path}: has no VMs for {hosts} hosts in its {trace.days:.0f} days")
    order = chosen[np.argsort(begin[chosen], kind="stable")]
    core, memory, nic, ssd = rows[order, 2:].T
    return Requests(
        begin[order], end[order], core, memory, nic, ssd, trace.groups[order], trace.most[order]
    )
