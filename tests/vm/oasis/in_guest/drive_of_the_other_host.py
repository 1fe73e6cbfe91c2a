"""One of two guests that share CXL memory: b has the NVMe drive, a the block device.

usage: drive_of_the_other_host.py lend | use
`lend` serves the drive until it is killed; `use` says as JSON what it has done.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from pathlib import Path

from block_files import make_file_system, mounted, run
from storage_host import SIZE
from tiermem.errors import MissingError
from tiermem.layer.pool import Pool, open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.block_device import BlockDevice, BlockDeviceSettings
from tiermem.oasis.storage.link import make_link
from tiermem.oasis.storage.slices import Slice

POOL, DRIVE, AREA = Path("/dev/dax0.0"), Path("/dev/nvme0n1"), "drive"
BYTES = 48 << 20
FILES = 20


def lend() -> None:
    with (
        open_pool(POOL, 1) as pool,
        Backend(BackendSettings(path=DRIVE)) as backend,
    ):
        serve_when_made(pool, backend)
        time.sleep(3600)


def serve_when_made(pool: Pool, backend: Backend) -> None:
    """A link is made some time after its area."""
    while True:
        try:
            backend.add_link(pool.open_area(AREA), {0: Slice(0, BYTES)})
            return
        except MissingError:
            time.sleep(0.1)


def use() -> None:
    with open_pool(POOL, 0) as pool, pool.create_area(AREA, SIZE.bytes) as area:
        make_link(area, SIZE)
        with BlockDevice(area, BlockDeviceSettings(bytes=BYTES, answer_timeout_s=120)) as device:
            make_file_system(device.number)
            hashes = write_files(device.number)
            # What the file system holds in memory goes with it.
            run("blockdev", "--flushbufs", str(device.path))
            same = read_files(device.number) == hashes
            counters = device.counters
    print(json.dumps({"files": len(hashes), "same": same, "failed": counters.failed}))


def write_files(number: int) -> dict[str, str]:
    rng = random.Random(5)
    hashes = {}
    with mounted(number) as folder:
        for name in map(str, range(FILES)):
            data = rng.randbytes(rng.randrange(1, 500_000))
            (folder / name).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
    return hashes


def read_files(number: int) -> dict[str, str]:
    with mounted(number) as folder:
        return {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.iterdir()
            if file.is_file()
        }


if __name__ == "__main__":
    {"lend": lend, "use": use}[sys.argv[1]]()
