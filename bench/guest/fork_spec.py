"""What is measured of one function at one size, and what was found; JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

COLD = "cold"
FORK = "fork"
CRIU_DRAM = "criu-tmpfs"
CRIU_CXL = "criu-cxl"
POLICIES = ("mow", "moa", "ht")
GHOST = "+ghost"
"""Suffix of a policy: a ghost container was ready."""
MOW_GHOST = f"mow{GHOST}"


@dataclass(frozen=True)
class ForkSpec:
    """One function (a file of bench/functions) filled up to a footprint.

    repeats: starts in each way. warm_calls: after the first call of each start.
    warm_up: calls before the images are taken. clones: at once, for what they share.
    """

    function: str
    footprint_mib: int
    repeats: int
    warm_calls: int
    warm_up: int
    clones: int

    @property
    def name(self) -> str:
        """As progress and files name it."""
        return f"{self.function}-{self.footprint_mib}"

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> ForkSpec:
        """The spec that `to_json` wrote."""
        return ForkSpec(**json.loads(text))


@dataclass(frozen=True)
class Memory:
    """A process's memory: its own in local memory, mapped files and image pages, page tables."""

    own_bytes: int
    file_bytes: int
    table_bytes: int


@dataclass(frozen=True)
class Start:
    """One start of the function, in one way. Times are modelled time, but for `guest_ns`
    (of the restore) and `phases_ns`: the guest's clock, a ns an instruction.

    restore_ns: to the first useful instruction. first_call_ns: from the demand to the
    first call's answer. phases_ns: of the restore, as whoever restored measured them.
    """

    method: str
    restore_ns: int
    first_call_ns: int
    warm_ns: list[int]
    guest_ns: int
    after_first: Memory
    after_warm: Memory
    phases_ns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sharing:
    """Memory with so many clones of one image, each after its first call.

    pool_bytes: all that is allocated in the pool. own_bytes: summed over the clones.
    """

    clones: int
    pool_bytes: int
    own_bytes: int
    dram_used_bytes: int


@dataclass(frozen=True)
class ForkResult:
    """All that was found for one spec. image_bytes: of CXLfork's. images_ns: how long the
    images took to be made, in the guest's clock, by who made them."""

    spec: ForkSpec
    kernel_release: str
    starts: list[Start]
    sharing: list[Sharing]
    image_bytes: int
    images_ns: dict[str, int]
    criu_bytes: int

    def to_json(self) -> str:
        """JSON text that `from_json` takes back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> ForkResult:
        """The result that `to_json` wrote."""
        tree: dict[str, Any] = json.loads(text)
        tree["spec"] = ForkSpec(**tree["spec"])
        tree["starts"] = [_start(one) for one in tree["starts"]]
        tree["sharing"] = [Sharing(**one) for one in tree["sharing"]]
        return ForkResult(**tree)


def _start(tree: dict[str, Any]) -> Start:
    memories = {name: Memory(**tree[name]) for name in ("after_first", "after_warm")}
    return Start(**{**tree, **memories})
