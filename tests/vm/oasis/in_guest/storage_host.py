"""A process of one host, which does what it is told and is killed by whoever tests."""

from __future__ import annotations

from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.layer.pool import Area, Pool, open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.block_device import BlockDevice, BlockDeviceSettings, delete_abandoned
from tiermem.oasis.storage.link import LinkSize, make_link
from tiermem.oasis.storage.slices import Slice

SIZE = LinkSize(tags=64, block_bytes=4096, buffer_bytes=64 << 10)


class StorageHost:
    """What either side does; `open` makes it a backend, `attach` a frontend."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.areas: dict[str, Area] = {}
        self.links: dict[str, int] = {}
        self.backend: Backend | None = None
        self.devices: dict[int, BlockDevice] = {}

    # --- the host of the drive ---

    def open(self, path: str) -> None:
        self.backend = Backend(BackendSettings(path=Path(path)))

    def serve(self, link: str, offset: int, size: int, is_read_only: bool = False) -> None:
        assert self.backend is not None
        self.areas[link] = self.pool.open_area(link)
        self.links[link] = self.backend.add_link(
            self.areas[link], {0: Slice(offset, size, is_read_only=is_read_only)}
        )

    def drop(self, link: str) -> None:
        """What was in flight has ended when this returns."""
        assert self.backend is not None
        self.backend.remove_link(self.links.pop(link))
        self.areas.pop(link).close()

    # --- the host of the instance ---

    def make(self, link: str) -> None:
        self.areas[link] = self.pool.create_area(link, SIZE.bytes)
        make_link(self.areas[link], SIZE)

    def remove(self, link: str) -> None:
        if link in self.areas:
            self.areas.pop(link).close()
        self.pool.remove(link)
        self.pool.collect()

    def attach(self, link: str, recovers: int | None = None, **settings: Any) -> int:
        patient = {"answer_timeout_s": 120, "recovery_timeout_s": 120, **settings}
        device = BlockDevice(self.areas[link], BlockDeviceSettings(**patient), recovers=recovers)
        self.devices[device.number] = device
        return device.number

    def reconnect(self, number: int, link: str) -> None:
        self.devices[number].reconnect(self.areas[link])

    def detach(self, number: int, is_forced: bool = False) -> None:
        self.devices[number].close(is_forced=is_forced)
        del self.devices[number]

    def leave(self, number: int) -> None:
        self.devices.pop(number).leave()

    def delete_abandoned(self, number: int) -> None:
        delete_abandoned(number)

    def counters(self, number: int) -> dict[str, Any]:
        return asdict(self.devices[number].counters)


def run_host(orders: Connection, path: Path, number: int) -> None:
    """Each order is the name of one of StorageHost's methods and its arguments; the answer is
    what it returns, or a TiermemError."""
    run_dir = Path(f"/run/storage-{number}")
    with open_pool(path, number, run_dir=run_dir) as pool:
        host = StorageHost(pool)
        while True:
            try:
                name, arguments = orders.recv()
            except EOFError:
                return
            try:
                orders.send(getattr(host, name)(**arguments))
            except TiermemError as error:
                orders.send(TiermemError(str(error)))
