"""Two hosts and a disk: the first has instances, the second has the disk, a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.pool import Area, Pool, create_pool, open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.frontend import Completion, Frontend, Opcode, Request, Status
from tiermem.oasis.storage.link import LinkSize, make_link
from tiermem.oasis.storage.slices import Slice

DISK_BYTES = 1 << 20
SIZE = LinkSize(tags=64, block_bytes=4096, buffer_bytes=16 << 10)
SMALL_BLOCKS = SIZE.model_copy(update={"block_bytes": 512})
POOL_BYTES = 96 << 20


@dataclass(frozen=True)
class Hosts:
    """`front` is the pool as the first host has it, `back` as the second."""

    folder: Path
    front: Pool
    back: Pool

    @property
    def disk(self) -> Path:
        """All zeros at first."""
        return self.folder / "disk"

    @contextmanager
    def link(self, name: str, size: LinkSize = SIZE) -> Iterator[tuple[Area, Area]]:
        """A link that was made, on either host."""
        with self.front.create_area(name, size.bytes) as ours, self.back.open_area(name) as theirs:
            make_link(ours, size)
            yield ours, theirs
        self.front.remove(name)
        self.front.collect()

    @contextmanager
    def served(
        self, *, size: LinkSize = SIZE, is_direct: bool = True, is_write_through: bool = False
    ) -> Iterator[tuple[Frontend, Backend, int]]:
        """A frontend that has all of the disk as slice 0, its backend, and the link's number."""
        settings = BackendSettings(
            path=self.disk, is_direct=is_direct, is_write_through=is_write_through
        )
        with (
            self.link("link", size) as (ours, theirs),
            Backend(settings) as backend,
            Frontend(ours, timeout_s=30) as frontend,
        ):
            link = backend.add_link(theirs, {0: Slice(0, DISK_BYTES)})
            yield frontend, backend, link


@contextmanager
def two_hosts(folder: Path) -> Iterator[Hosts]:
    """A pool and a disk in the folder."""
    create_pool(folder / "pool", hosts=2, entries=16, size=POOL_BYTES)
    (folder / "disk").write_bytes(bytes(DISK_BYTES))
    with (
        open_pool(folder / "pool", 0, run_dir=folder / "run0") as front,
        open_pool(folder / "pool", 1, run_dir=folder / "run1") as back,
    ):
        yield Hosts(folder, front, back)


def run(frontend: Frontend, request: Request, data: bytes = b"") -> Completion:
    """A command by itself, while no other is in flight."""
    tag = frontend.submit(request, data)
    (done,) = frontend.wait(timeout_s=20)
    assert done.tag == tag
    return done


def write(frontend: Frontend, lba: int, data: bytes, *, number: int = 0) -> Status:
    """The status of a write to slice `number`."""
    blocks = len(data) // frontend.block_bytes
    return run(frontend, Request(Opcode.WRITE, lba, blocks, number), data).status


def read(frontend: Frontend, lba: int, blocks: int, *, number: int = 0) -> bytes:
    """What slice `number` has there; an error is a failure."""
    done = run(frontend, Request(Opcode.READ, lba, blocks, number))
    assert done.status is Status.OK
    return done.data
