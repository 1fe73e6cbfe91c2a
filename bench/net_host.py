"""A host of the net engine's benchmark as a process: the NIC's, or an instance's, or both.

`NicHost` and `InstanceHost` are what bench.child starts it with; the first has to be ready
before the second is started. `RelayHost` has a NIC of its own, and no pool.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tiermem.layer.pool import open_pool
from tiermem.native._net_load import lib
from tiermem.oasis.net import (
    Backend,
    BackendSettings,
    Frontend,
    LinkSize,
    Pace,
    Tap,
    TapSettings,
    make_link,
)
from tiermem.oasis.net.namespace import inside

from bench.child import run_on, serve
from bench.net_world import INSTANCE_NIC, NIC, set_address

READY_S = 5.0
SIZE = LinkSize()


@dataclass(frozen=True)
class LinkedHost:
    """One end of the link in that area of the pool in `folder`, which has to do with a network
    namespace. cpu, is_yielding: see bench.child.run_on."""

    folder: Path
    area: str
    namespace: str
    cpu: int
    is_yielding: bool
    pace: Mapping[str, int]


@dataclass(frozen=True)
class NicHost(LinkedHost):
    """Makes the link, and serves it with the NIC in `namespace`."""

    number: ClassVar[int] = 1


@dataclass(frozen=True)
class InstanceHost(LinkedHost):
    """Serves one instance, with that address."""

    mac: str
    address: str
    number: ClassVar[int] = 0


@dataclass(frozen=True)
class RelayHost:
    """Has the NIC in `nic_namespace`, and an instance in `namespace` with that address behind
    a TAP. cpu, is_yielding: see bench.child.run_on."""

    namespace: str
    nic_namespace: str
    mac: str
    address: str
    cpu: int
    is_yielding: bool


@contextmanager
def serve_nic(spec: NicHost) -> Iterator[None]:
    """Until it is left."""
    folder = Path(spec.folder)
    settings = BackendSettings(nic=NIC, namespace=spec.namespace, pace=Pace(**spec.pace))
    with (
        open_pool(folder / "pool", spec.number, run_dir=folder / "run1") as pool,
        pool.create_area(spec.area, SIZE.bytes) as area,
        Backend(settings) as backend,
    ):
        make_link(area, SIZE, area.generation)
        backend.add_link(area, area.generation)
        yield


@contextmanager
def serve_instance(spec: InstanceHost) -> Iterator[None]:
    """Until it is left."""
    folder = Path(spec.folder)
    settings = TapSettings(name=INSTANCE_NIC, mac=spec.mac, namespace=spec.namespace)
    with (
        open_pool(folder / "pool", spec.number, run_dir=folder / "run0") as pool,
        pool.open_area(spec.area) as area,
        Tap(settings) as tap,
        Frontend(area, area.generation, Pace(**spec.pace)) as frontend,
    ):
        number = frontend.add(tap)
        set_address(spec.namespace, INSTANCE_NIC, spec.address)
        frontend.wait_ready(number, READY_S)
        yield


@contextmanager
def relay(spec: RelayHost) -> Iterator[None]:
    """Until the process ends: the thread has no end of its own."""
    settings = TapSettings(name=INSTANCE_NIC, mac=spec.mac, namespace=spec.namespace)
    with Tap(settings) as tap, inside(spec.nic_namespace):
        arguments = (tap.descriptor, socket.if_nametoindex(NIC), tap.mac)
        threading.Thread(target=lib.net_load_relay, args=arguments, daemon=True).start()
        set_address(spec.namespace, INSTANCE_NIC, spec.address)
        yield


@contextmanager
def _start(given: Mapping[str, Any]) -> Iterator[None]:
    run_on(given["cpu"], is_yielding=given["is_yielding"])
    if "nic_namespace" in given:
        with relay(RelayHost(**given)):
            yield
    elif "mac" in given:
        with serve_instance(InstanceHost(**given)):
            yield
    else:
        with serve_nic(NicHost(**given)):
            yield


if __name__ == "__main__":
    serve(_start)
