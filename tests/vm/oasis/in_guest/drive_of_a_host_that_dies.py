"""One of two guests that share CXL memory: b has the NVMe drive, a a database on it, and b dies.

usage: drive_of_a_host_that_dies.py lend LINK | use FOLDER
`lend` serves the drive at that link until it is killed. `use` commits to the database, first by
LINKS[0]; in FOLDER it says by the file `commits` that it does, is told by `again` to go on by
LINKS[1], and says by `done` what it has found.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from block_files import make_file_system, mounted, node, run
from commits import check
from committer import Committer
from storage_host import SIZE
from tiermem.errors import MissingError
from tiermem.layer.pool import open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.block_device import BlockDevice, BlockDeviceSettings
from tiermem.oasis.storage.link import make_link
from tiermem.oasis.storage.slices import Slice

POOL, DRIVE = Path("/dev/dax0.0"), Path("/dev/nvme0n1")
LINKS = ("drive-0", "drive-1")
BYTES = 48 << 20
COMMITS = 10


def lend(link: str) -> None:
    with (
        open_pool(POOL, 1) as pool,
        Backend(BackendSettings(path=DRIVE, is_write_through=True)) as backend,
    ):
        while True:
            try:
                backend.add_link(pool.open_area(link), {0: Slice(0, BYTES)})
                break
            except MissingError:
                time.sleep(0.1)
        time.sleep(3600)


def use(folder: Path) -> None:
    settings = BlockDeviceSettings(bytes=BYTES, answer_timeout_s=300, is_write_through=True)
    with (
        open_pool(POOL, 0) as pool,
        pool.create_area(LINKS[0], SIZE.bytes) as first,
        pool.create_area(LINKS[1], SIZE.bytes) as second,
    ):
        for area in (first, second):
            make_link(area, SIZE)
        with BlockDevice(first, settings) as device:
            make_file_system(device.number)
            with mounted(device.number) as mount:
                committer = Committer(mount / "db", "DELETE")
                committer.go_on(COMMITS)
                (folder / "commits").touch()
                wait_for(folder / "again")
                before = committer.acknowledged
                device.reconnect(second)
                committer.go_on(COMMITS)
                acknowledged = committer.kill()
            run("e2fsck", "-f", "-n", node(device.number))
            with mounted(device.number) as mount:
                check(mount / "db", acknowledged)
            failed = device.counters.failed
    found = {"before": before, "acknowledged": acknowledged, "failed": failed}
    (folder / "done.part").write_text(json.dumps(found))
    (folder / "done.part").rename(folder / "done")


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.2)


if __name__ == "__main__":
    if sys.argv[1] == "lend":
        lend(sys.argv[2])
    else:
        use(Path(sys.argv[2]))
