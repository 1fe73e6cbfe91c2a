"""What is measured of the porter, and what was found; JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

AMPLE, QUARTER = "ample", "quarter"
"""How much memory there is: no limit that matters; a quarter of what CRIU's instances took
without one."""
COLD_WITH_A_QUARTER = ("cold", QUARTER)


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
    """One load, given to porters that start instances in different ways, and after it a
    flood: calls that all come at once, to see how many a porter answers in a second.

    arrivals: seconds from the beginning, and the function. cases: values of the porter's
    `start`, and AMPLE or QUARTER; that of CRIU with ample memory comes first.
    cold_calls: so many of the first calls for cold starts with a quarter of the memory,
    where nearly every call is one. flood_each: calls of each function. instances_max: of
    one function. criu_folder: where CRIU's images are put.
    """

    functions: dict[str, CalledFunction]
    arrivals: list[tuple[float, str]]
    cases: list[tuple[str, str]]
    cold_calls: int
    flood_each: int
    instances_max: int
    criu_folder: str
    warm_calls: int = 16

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    def arrivals_of(self, start: str, memory: str) -> list[tuple[float, str]]:
        """The load of one case."""
        is_short = (start, memory) == COLD_WITH_A_QUARTER
        return self.arrivals[: self.cold_calls] if is_short else self.arrivals

    @property
    def flood(self) -> list[tuple[float, str]]:
        """All functions' calls in turn, at the beginning."""
        return [(0.0, name) for _ in range(self.flood_each) for name in self.functions]

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

    elapsed_ns: from the first call's time to the last answer, modelled time; flood_ns:
    the same of the flood.
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
    flood: list[Call]
    flood_ns: int


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
            PorterRun(**{**one, **{key: _calls(one[key]) for key in ("calls", "flood")}})
            for one in tree["runs"]
        ]
        return PorterResult(tree["kernel_release"], runs, tree["image_bytes"])


def _calls(found: list[dict[str, Any]]) -> list[Call]:
    return [Call(**one) for one in found]
