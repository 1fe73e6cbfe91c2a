"""Round trips of UDP from namespaces of a guest, for `bench.oasis_testbed`: `round_trips SPEC
RESULT`, both files of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tiermem.errors import TiermemError

from bench.net_load import ask
from bench.net_world import Site

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Spec:
    """namespaces: of each way; outsides: addresses, by how many hosts packets to them meet.
    count: of each; warm_up: that many more before, which do not count."""

    namespaces: Mapping[str, str]
    outsides: Mapping[str, str]
    packets: Sequence[int]
    rounds: int
    count: int
    warm_up: int


@dataclass(frozen=True)
class GuestTrips:
    """Of one round; packet_bytes: of the IP packet. By the guest's clock, which is the wall's."""

    way: str
    hosts: str
    round: int
    packet_bytes: int
    count: int
    percentiles_us: dict[int, float]


def to_json(trips: Sequence[GuestTrips]) -> str:
    """JSON text that `from_json` takes back."""
    return json.dumps([asdict(one) for one in trips])


def from_json(text: str) -> list[GuestTrips]:
    """What `to_json` wrote."""

    def one(tree: dict[str, Any]) -> GuestTrips:
        percentiles = {int(share): us for share, us in tree.pop("percentiles_us").items()}
        return GuestTrips(**tree, percentiles_us=percentiles)

    return [one(tree) for tree in json.loads(text)]


def measure(spec: Spec) -> list[GuestTrips]:
    """Every way in each round, and who comes first is not always the same."""
    trips: list[GuestTrips] = []
    ways = list(spec.namespaces)
    for number in range(spec.rounds):
        order = ways[number % len(ways) :] + ways[: number % len(ways)]
        for hosts, address in spec.outsides.items():
            for packet_bytes in spec.packets:
                for way in order:
                    site = Site(spec.namespaces[way], "", address)
                    ask(site, packet_bytes, spec.warm_up)
                    took_us = ask(site, packet_bytes, spec.count) / 1000
                    shares = np.percentile(took_us, PERCENTILES).tolist()
                    percentiles = dict(zip(PERCENTILES, shares, strict=True))
                    trips.append(
                        GuestTrips(way, hosts, number, packet_bytes, spec.count, percentiles)
                    )
    return trips


def main() -> None:
    """Read the spec, measure, write the result; one line on stderr and status 1 on failure."""
    spec = Spec(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        trips = measure(spec)
    except TiermemError as error:
        sys.exit(str(error))
    Path(sys.argv[2]).write_text(to_json(trips))


if __name__ == "__main__":
    main()
