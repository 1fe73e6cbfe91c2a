"""Two hosts in one guest: one has the NVMe drive, the other an instance that wants some of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError

DRIVE = Path("/dev/nvme0n1")
POOL = Path("/dev/shm/oasis-pool")
MIB = 1 << 20
SLICE_BYTES = 96 * MIB
LEASE_S = 600
"""An emulated guest on a busy host stands still for longer than hosts are silent."""
BACK, FRONT = 1, 0


# What hosts import takes a guest seconds: it is imported once, and not here.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["storage_host"])


def _create_pool() -> None:
    from tiermem.layer.pool import create_pool

    create_pool(POOL, hosts=2, entries=16, size=64 * MIB, lease_s=LEASE_S)


def _run_host(orders: Connection, number: int) -> None:
    from storage_host import run_host

    run_host(orders, POOL, number)


class Host:
    """A process that serves a host; calls go to the methods of `StorageHost`."""

    def __init__(self, number: int) -> None:
        self._orders, its = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_run_host, args=(its, number))
        self._process.start()
        its.close()

    def call(self, name: str, **arguments: Any) -> Any:
        """What it returns; a TiermemError that it raises."""
        self._orders.send((name, arguments))
        answer = self._orders.recv()
        if isinstance(answer, TiermemError):
            raise answer
        return answer

    def freeze(self) -> None:
        """Until it is thawed or killed it does nothing."""
        os.kill(self._process.pid or 0, signal.SIGSTOP)

    def thaw(self) -> None:
        """As if nothing had been."""
        os.kill(self._process.pid or 0, signal.SIGCONT)

    def kill(self) -> None:
        """With SIGKILL, in the middle of whatever it does."""
        self._process.kill()
        self._process.join()
        self._orders.close()


class StoragePod:
    """The two hosts, each a process, and the link that they share last."""

    def __init__(self) -> None:
        self.back, self.front = Host(BACK), Host(FRONT)
        self._links = 0
        self.link = ""
        self.back.call("open", path=str(DRIVE))

    def new_link(self) -> str:
        """Made by the frontend's host, once it has made sure that there is no older one."""
        self._links += 1
        self.link = f"link-{self._links}"
        self.front.call("make", link=self.link)
        return self.link

    def attach(self, offset: int = 0, size: int = SLICE_BYTES, **settings: Any) -> int:
        """A block device for a slice; its number."""
        self.new_link()
        is_read_only = settings.get("is_read_only", False)
        self.back.call("serve", link=self.link, offset=offset, size=size, is_read_only=is_read_only)
        return int(self.front.call("attach", link=self.link, bytes=size, **settings))

    def detach(self, number: int, **how: Any) -> None:
        """Its end, and that of its link."""
        self.front.call("detach", number=number, **how)
        self.back.call("drop", link=self.link)
        self.front.call("remove", link=self.link)

    def replace_front(self) -> str:
        """Kill the frontend's process; the link for its successor, which nobody serves yet."""
        old = self.link
        self.front.kill()
        self.front = Host(FRONT)
        self.back.call("drop", link=old)
        self.front.call("remove", link=old)
        return self.new_link()

    def recover(self, number: int, offset: int = 0, size: int = SLICE_BYTES) -> None:
        """Kill the frontend's process, and have another one take the device over."""
        link = self.replace_front()
        self.back.call("serve", link=link, offset=offset, size=size)
        self.front.call("attach", link=link, recovers=number, bytes=size)

    def kill_back(self) -> None:
        """Nobody serves the drive then."""
        self.back.kill()
        self.back = Host(BACK)

    def serve_again(self, number: int, offset: int = 0, size: int = SLICE_BYTES) -> None:
        """Another backend takes the drive, and the frontend goes on with it."""
        old = self.link
        self.back.call("open", path=str(DRIVE))
        link = self.new_link()
        self.back.call("serve", link=link, offset=offset, size=size)
        self.front.call("reconnect", number=number, link=link)
        self.front.call("remove", link=old)

    @contextmanager
    def used(self, number: int) -> Iterator[None]:
        """Where the test fails, what waits for the device fails as well: none waits for ever."""
        try:
            yield
        except BaseException:
            self.front.kill()
            Host(FRONT).call("delete_abandoned", number=number)
            raise

    def close(self) -> None:
        """Kill all of them."""
        self.front.kill()
        self.back.kill()


@contextmanager
def storage_pod() -> Iterator[StoragePod]:
    """A pod whose pool is a file, and its drive."""
    creating = _PROCESSES.Process(target=_create_pool)
    creating.start()
    creating.join()
    assert creating.exitcode == 0
    pod = StoragePod()
    try:
        yield pod
    finally:
        pod.close()
        POOL.unlink()
