"""What is measured of a channel: messages a second by each rung, and latency under load."""

from __future__ import annotations

import errno
import mmap
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tiermem.errors import KernelError
from tiermem.native._channel_ladder import ffi, lib

_WITHOUT_END_PER_S = 1e12
SLOTS = int(lib.CHANNEL_SLOTS)
SIZES = (16, 64)
BATCH = 64
RUNGS = {
    "bypass": (lib.LADDER_BYPASS, "past the cache, message by message"),
    "prefetch": (lib.LADDER_PREFETCH, "lines prefetched ahead"),
    "drop_consumed": (lib.LADDER_DROP_CONSUMED, "… and dropped once they are consumed"),
    "all": (lib.LADDER_ALL, "… and dropped where prefetched too early: ours"),
}
BASE, OURS = "bypass", "all"
LOADS = (0.1, 0.25, 0.5, 0.75)
"""Shares of the most messages a second that latency is measured at: of `Channel.most_timed`."""
AUTHORS_PER_S = 14e6
"""The load at which the authors of Oasis report theirs."""
HALF_LOAD = 0.5
PERCENTILES = (50, 90, 99)
LONGEST_US = lib.LADDER_BUCKETS * lib.LADDER_BUCKET_NS / 1000
"""Latencies of this or more are not told apart."""


@dataclass(frozen=True)
class Throughput:
    """One run of a rung, as fast as it goes."""

    rung: str
    message_bytes: int
    messages: int
    seconds: float
    wrong: int
    stale_looks: int

    @property
    def per_s(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


@dataclass(frozen=True)
class Latency:
    """One run at a load: from when a message was due at the sender until the receiver had it."""

    message_bytes: int
    load: float
    wanted_per_s: float
    per_s: float
    wrong: int
    percentiles_us: dict[int, float]


class Channel:
    """Memory for a channel, and the two processors between which it is measured."""

    def __init__(self, message_bytes: int, cpus: tuple[int, int]) -> None:
        self.message_bytes = message_bytes
        self._cpus = cpus
        # Shared, as a pool is; in one piece, as large pages of a device are.
        self._memory = mmap.mmap(-1, int(lib.channel_bytes(SLOTS, message_bytes)))
        self._view = ffi.from_buffer(self._memory, require_writable=True)
        self._result: Any = ffi.new("struct ladder_result *")

    def throughput(self, rung: str, seconds: float) -> Throughput:
        """As many messages as go through."""
        result = self._measure(rung, seconds, 0.0)
        return Throughput(
            rung,
            self.message_bytes,
            int(result.messages),
            float(result.seconds),
            int(result.wrong),
            int(result.stale_looks),
        )

    def most_timed(self, seconds: float) -> float:
        """Messages a second where the sender has to look at the clock for each as well, which
        takes it longer than to send them."""
        result = self._measure(OURS, seconds, _WITHOUT_END_PER_S)
        return int(result.messages) / float(result.seconds)

    def latency(self, load: float, wanted_per_s: float, seconds: float) -> Latency:
        """Of our rung, at so many messages a second."""
        result = self._measure(OURS, seconds, wanted_per_s)
        counts = np.frombuffer(ffi.buffer(result.latency), dtype=np.uint64)
        return Latency(
            self.message_bytes,
            load,
            wanted_per_s,
            int(result.messages) / float(result.seconds),
            int(result.wrong),
            percentiles_us(counts, PERCENTILES),
        )

    def _measure(self, rung: str, seconds: float, rate: float) -> Any:
        setup = ffi.new("struct ladder_setup *")
        setup.memory = self._view
        setup.slots, setup.slot_bytes, setup.batch = SLOTS, self.message_bytes, BATCH
        setup.sender_cpu, setup.receiver_cpu = self._cpus
        setup.seconds, setup.rate = seconds, rate
        error = lib.ladder_measure(setup, RUNGS[rung][0], self._result)
        if error:
            raise KernelError(f"measure a channel between processors {self._cpus}", error)
        return self._result


def two_cpus() -> tuple[int, int]:
    """Two processors that this process may run on. KernelError where there is one only."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise KernelError("measure a channel: two processors are needed", errno.ENODEV)
    return allowed[0], allowed[1]


def percentiles_us(counts: npt.NDArray[np.uint64], percentiles: Iterable[int]) -> dict[int, float]:
    """Of a histogram with buckets of LADDER_BUCKET_NS: the upper end of the percentile's."""
    sums = np.cumsum(counts)
    bucket_us = lib.LADDER_BUCKET_NS / 1000
    return {
        one: float((np.searchsorted(sums, sums[-1] * one / 100) + 1) * bucket_us)
        for one in percentiles
    }


def median_per_s(runs: Sequence[Throughput], rung: str, message_bytes: int) -> float:
    """Messages a second, median over the runs."""
    found = [run.per_s for run in runs if (run.rung, run.message_bytes) == (rung, message_bytes)]
    return statistics.median(found)
