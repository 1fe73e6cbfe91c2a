"""What VMs of a public trace send and receive, and hosts that hold them.

The trace (GWA-T-12 Bitbrains, part Rnd or fastStorage; Shen et al., CCGrid 2015) is a folder
with a CSV file for each VM of a provider for businesses: vCPUs, memory, and KB/s received and
transmitted, as means over five minutes for a month. Where VMs ran is not in it: here they go
to hosts by chance, on the fullest one that has room for their vCPUs and memory.

Assumed: hosts of 32 vCPUs and 512 GiB, as the largest of the trace's VMs need, without
overcommitment. VMs without vCPUs (they were off) are left out; where a VM has no samples it
sends nothing; of several samples within five minutes the mean is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.errors import ConfigError

from bench.pod_packing import best_fit
from bench.pod_traffic import Rates, Traffic

WINDOW_S = 300.0
HOST_VCPUS, HOST_MEMORY_KIB = 32.0, 512.0 * 2**20
COLUMNS = {
    "Timestamp [ms]": 0,
    "CPU cores": 1,
    "Memory capacity provisioned [KB]": 5,
    "Network received throughput [KB/s]": 9,
    "Network transmitted throughput [KB/s]": 10,
}
"""Their places; times are seconds, whatever the name says."""


@dataclass(frozen=True)
class Vms:
    """needs: shares of a host, vCPUs and memory. rates: of the VMs, as those of hosts."""

    needs: npt.NDArray[np.float64]
    rates: Rates


def read_vms(folder: Path) -> Vms:
    """ConfigError."""
    samples = [found for path in sorted(folder.glob("*.csv")) if len(found := _read(path))]
    if not samples:
        raise ConfigError(f"{folder}: has no CSV files with VMs that have vCPUs")
    first_s = min(float(one[:, 0].min()) for one in samples)
    last_s = max(float(one[:, 0].max()) for one in samples)
    windows = 1 + int((last_s - first_s) // WINDOW_S)
    needs = np.array([one[:, 1:3].max(axis=0) for one in samples])
    needs /= (HOST_VCPUS, HOST_MEMORY_KIB)
    if (needs > 1).any():
        large = f"more than {HOST_VCPUS:.0f} vCPUs or {HOST_MEMORY_KIB / 2**20:.0f} GiB"
        raise ConfigError(f"{folder}: has a VM of {large}")
    rates = np.zeros((len(samples), 2, windows))
    for number, one in enumerate(samples):
        window = ((one[:, 0] - first_s) // WINDOW_S).astype(np.int64)
        count = np.maximum(np.bincount(window, minlength=windows), 1)
        for way in range(2):
            kib = np.bincount(window, one[:, 3 + way], windows)
            rates[number, way] = 1024 * kib / count
    return Vms(needs, rates)


def _read(path: Path) -> npt.NDArray[np.float64]:
    """COLUMNS; none of a VM that is off."""
    try:
        with path.open() as file:
            names = [one.strip() for one in file.readline().split(";")]
            for name, place in COLUMNS.items():
                if names[place : place + 1] != [name]:
                    raise ConfigError(f"{path}: column {place + 1} is not {name}")
            lines = file.readlines()
        if not lines:
            return np.zeros((0, len(COLUMNS)))
        places = tuple(COLUMNS.values())
        found = np.loadtxt(lines, delimiter=";", usecols=places, ndmin=2)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not a VM's samples: {error}") from None
    if not np.isfinite(found).all() or (found < 0).any():
        raise ConfigError(f"{path}: has a number that is none, or is below 0")
    return found if found[:, 1].max() > 0 else found[:0]


def place(vms: Vms, rng: np.random.Generator) -> Traffic:
    """On as few hosts as they come to, in an order drawn at random."""
    free = np.ones((len(vms.needs), 2))
    everywhere = np.ones(len(free), np.bool_)
    rates = np.zeros_like(vms.rates)
    for number in rng.permutation(len(vms.needs)):
        host = best_fit(free, vms.needs[number], everywhere)
        if host is None:
            raise ConfigError("a VM is larger than a host")
        free[host] -= vms.needs[number]
        rates[host] += vms.rates[number]
    return Traffic(rates[free[:, 0] < 1], WINDOW_S)
