"""When which function is called: the public Azure Functions sample, or one in its shape.

The sample (Azure Functions invocation trace, 2021) is CSV with the columns app, func,
end_timestamp and duration, in seconds; an invocation began at the difference of the two.
Its functions are known by hashes only, so the busiest of them stands for the first of
ours, the next for the second, and so on, in turn. Time is compressed to what a testbed
can do; a burst, in which all functions are called at once, is added on request.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tiermem.errors import ConfigError

COLUMNS = ("func", "end_timestamp", "duration")
# Of the public sample: 31 functions, called 199 times within 20 minutes, a third of the
# calls in clumps at whole minutes.
FUNCTIONS, CALLS, SPAN_S, CLUMPED_SHARE, CLUMP_S = 31, 199, 1200.0, 0.33, 0.2


@dataclass(frozen=True, order=True)
class Arrival:
    """A call: when, from the beginning of the load, and of which function."""

    at_s: float
    function: str


def load_trace(path: Path | None, seed: int = 1) -> list[Arrival]:
    """The arrivals of a trace's file; without one, synthetic ones. ConfigError."""
    return synthetic(seed) if path is None else read_trace(path)


def read_trace(path: Path) -> list[Arrival]:
    """The arrivals in the file, by the trace's own names. ConfigError."""
    try:
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            missing = set(COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise ConfigError(f"{path}: has no column {', '.join(sorted(missing))}")
            found = [
                Arrival(float(row["end_timestamp"]) - float(row["duration"]), row["func"])
                for row in rows
            ]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is not a trace of invocations: {error}") from None
    if not found:
        raise ConfigError(f"{path}: has no invocations")
    return sorted(found)


def synthetic(seed: int = 1) -> list[Arrival]:
    """A trace in the sample's shape: few functions get most of the calls, and many come
    together, as timers send them."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, FUNCTIONS + 1)
    of = rng.choice(FUNCTIONS, CALLS, p=weights / weights.sum())
    at_s = rng.uniform(0, SPAN_S, CALLS)
    clumped = rng.random(CALLS) < CLUMPED_SHARE
    minutes = np.floor(at_s[clumped] / 60) * 60
    at_s[clumped] = minutes + rng.exponential(CLUMP_S, len(minutes))
    return sorted(Arrival(float(at), f"f{one}") for at, one in zip(at_s, of, strict=True))


def scaled(
    trace: Sequence[Arrival], functions: Sequence[str], calls: int, calls_per_s: float
) -> list[Arrival]:
    """So many calls at that mean rate, of our functions instead of the trace's, busiest
    for busiest: the trace's first ones, or all of it over and over."""
    counts = Counter(one.function for one in trace)
    ranks = sorted(counts, key=lambda name: (-counts[name], name))
    named = {name: functions[rank % len(functions)] for rank, name in enumerate(ranks)}
    first_s, span_s = trace[0].at_s, trace[-1].at_s - trace[0].at_s
    round_s = span_s * len(trace) / max(1, len(trace) - 1)
    chosen = [
        Arrival(one.at_s - first_s + number * round_s, named[one.function])
        for number in range(-(-calls // len(trace)))
        for one in trace
    ][:calls]
    factor = calls / calls_per_s / max(chosen[-1].at_s, 1e-9)
    return [Arrival(one.at_s * factor, one.function) for one in chosen]


def burst(functions: Sequence[str], at_s: float, each: int) -> list[Arrival]:
    """So many calls of each function, all at the same time."""
    return [Arrival(at_s, name) for name in functions for _ in range(each)]
