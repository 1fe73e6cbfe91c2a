"""What is measured of the porter, and what was found; JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

AMPLE, QUARTER = "ample", "quarter"
"""How much memory there is: no limit that matters; a quarter of what CRIU's instances took
without one."""


@dataclass(frozen=True)
class CalledFunction:
    """A function: its file in bench/functions, and the event of each call of it."""

    file: str
    event: str

    @property
    def parsed_event(self) -> Any:
        """What `handle` gets."""
        return json.loads(self.event)


@dataclass(frozen=True)
class PorterSpec:
    """One load, given to porters that start instances in different ways.

    arrivals: seconds from the beginning, and the function. cases: values of the porter's
    `start`, and AMPLE or QUARTER; that of CRIU with ample memory comes first.
    instances_max: of one function. criu_folder: where CRIU's images are put.
    """

    functions: dict[str, CalledFunction]
    arrivals: list[tuple[float, str]]
    cases: list[tuple[str, str]]
    instances_max: int
    criu_folder: str
    warm_calls: int = 16

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> PorterSpec:
        """The spec that `to_json` wrote."""
        tree = json.loads(text)
        tree["functions"] = {name: CalledFunction(**one) for name, one in tree["functions"].items()}
        tree["arrivals"] = [(float(at_s), name) for at_s, name in tree["arrivals"]]
        tree["cases"] = [(start, memory) for start, memory in tree["cases"]]
        return PorterSpec(**tree)


@dataclass(frozen=True)
class Call:
    """One call: its latency from when it was due, modelled time; and how it was answered:
    "warm", "cold", "criu" or a policy, or the reason why it was not."""

    function: str
    due_s: float
    latency_ns: int
    status: int
    how: str


@dataclass(frozen=True)
class PorterRun:
    """The load under one porter.

    elapsed_ns: from the first call's time to the last answer, modelled time.
    peak_local_bytes: the most local memory that was charged at once to the porter, its
    instances, cxlforkd and what it started, over what it was before the load.
    """

    start: str
    memory: str
    memory_mib: int
    calls: list[Call]
    elapsed_ns: int
    guest_ns: int
    peak_local_bytes: int


@dataclass(frozen=True)
class PorterResult:
    """All that was found. image_bytes: of all images, in the pool or in CRIU's files."""

    kernel_release: str
    runs: list[PorterRun]
    image_bytes: dict[str, int]

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> PorterResult:
        """The result that `to_json` wrote."""
        tree = json.loads(text)
        runs = [
            PorterRun(**{**one, "calls": [Call(**call) for call in one["calls"]]})
            for one in tree["runs"]
        ]
        return PorterResult(tree["kernel_release"], runs, tree["image_bytes"])
