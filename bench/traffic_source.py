"""Where the traffic of simulated hosts comes from: a public trace by its path, or drawn.

- a folder: what VMs send and receive (bench.vm_traffic);
- a file: requests that hosts serve (bench.request_traffic);
- none: requests that are drawn (the same).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import request_traffic, vm_traffic
from bench.pod_traffic import Traffic

DRAWN = "requests drawn at random"


@dataclass(frozen=True)
class Source:
    """draw: the traffic for a seed, with services' hosts busy for at most that share of time.

    load: that share, unless another one is tried; loads: those to try, none where it means
    nothing. coarser: so many times longer windows to try.
    """

    name: str
    draw: Callable[[int, float], Traffic]
    load: float
    loads: tuple[float, ...]
    coarser: tuple[int, ...]


def load_source(path: Path | None, hosts: int) -> Source:
    """For so many hosts; of VMs it says itself how many they fill. ConfigError."""
    if path is not None and path.is_dir():
        vms = vm_traffic.read_vms(path)
        return Source(
            f"VMs of {path.name}",
            lambda seed, _: vm_traffic.place(vms, np.random.default_rng(seed)),
            load=1.0,
            loads=(),
            coarser=(1, 3, 12),
        )
    requests = None if path is None else request_traffic.read_requests(path)
    return Source(
        DRAWN if path is None else f"requests of {path.name}",
        lambda seed, load: request_traffic.serve(
            requests, hosts, np.random.default_rng(seed), load
        ),
        load=request_traffic.LOAD,
        loads=(0.25, 0.5, 0.75),
        coarser=(1, 10, 100),
    )
