"""Public traces of what instances are given: reading them, for bench.vm_requests.

- The Azure Trace for Packing 2020 (Hadary et al., Protean, OSDI 2020) is a SQLite file with
  tables `vm` (vmTypeId, starttime and endtime in days) and `vmType` (for each machine: core,
  memory, ssd and nic, as shares of that machine). Of its machines the one that most requests
  could run on is taken.
- Alibaba's trace of recommendation services (cluster-trace-gpu-v2025, Yang et al., NSDI 2025)
  is CSV: instances with vCPUs, GiB of memory and disk, and a percentage of an RDMA NIC, for 31
  days, and how many of an application may share a node. Its CPU nodes' instances are taken.
  Their nodes' sizes are not in it: a host is as large as the largest request of each kind.
"""

from __future__ import annotations

import csv
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.errors import ConfigError

AZURE_DAYS = 14.0
"""The span of Azure's trace."""
DAY_S = 86_400.0
ROLE = "CN"
COLUMNS = (
    "creation_time",
    "deletion_time",
    "cpu_request",
    "memory_request",
    "rdma_request",
    "disk_request",
    "max_instance_per_node",
)

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """Instances in no order, for so many days.

    rows: begin and end in days (NaN: none in the trace), vCPUs and memory as shares of a host,
    NIC, SSD. groups: numbers of applications; most: how many of one may share a host.
    """

    rows: Numbers
    days: float
    groups: npt.NDArray[np.int64]
    most: Numbers


def read_trace(path: Path) -> Trace:
    """Of either kind. ConfigError."""
    try:
        with path.open("rb") as file:
            begin = file.read(256)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return _instances(path) if begin.startswith(b"instance_sn,") else _packing(path)


_QUERY = """
SELECT vm.starttime, vm.endtime, t.core, t.memory, t.nic, t.ssd
FROM vm JOIN vmType AS t ON t.vmTypeId = vm.vmTypeId
WHERE vm.starttime < :days AND t.machineId = (
    SELECT machineId FROM vmType JOIN vm USING (vmTypeId)
    GROUP BY machineId ORDER BY COUNT(*) DESC, machineId LIMIT 1)
"""


def _packing(path: Path) -> Trace:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as trace:
            found = trace.execute(_QUERY, {"days": AZURE_DAYS}).fetchall()
    except sqlite3.Error as error:
        kinds = "the trace for packing, nor that of recommendation services"
        raise ConfigError(f"{path}: is not {kinds}: {error}") from None
    rows = np.array(found, dtype=float).reshape(-1, 6)
    unlimited = np.full(len(rows), np.inf)
    return Trace(rows, AZURE_DAYS, np.zeros(len(rows), np.int64), unlimited)


def _instances(path: Path) -> Trace:
    try:
        with path.open(newline="") as file:
            chosen = [one for one in csv.DictReader(file) if one["role"] == ROLE]
        found = np.array([[float(one[name] or "nan") for name in COLUMNS] for one in chosen])
        names = [one["app_name"] for one in chosen]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is not the trace of recommendation services: {error}") from None
    if not len(found):
        raise ConfigError(f"{path}: has no instances of the role {ROLE}")
    times_s, needs, most = found[:, :2], found[:, 2:6], found[:, 6]
    if np.isnan(needs).any() or (needs[:, :2] <= 0).any():
        raise ConfigError(f"{path}: has an instance without vCPUs, memory, RDMA or disk")
    begin_s = np.where(np.isnan(times_s[:, 0]), 0.0, times_s[:, 0])
    needs[:, :2] /= needs[:, :2].max(axis=0)
    times = np.stack([begin_s, times_s[:, 1]], axis=1) / DAY_S
    groups = np.unique(names, return_inverse=True)[1]
    return Trace(
        np.hstack([times, needs]),
        float(np.nanmax(times)),
        groups.astype(np.int64),
        np.where(most > 0, most, np.inf),
    )
