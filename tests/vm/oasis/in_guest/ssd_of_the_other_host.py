"""The host without a drive: a block device of the other's, and whom it outlives.

usage: ssd_of_the_other_host.py attach | fails | end
Each says as JSON what it has seen. `commits` is the writer in between: it appends a line, has it
durable, and says how many there are.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from asked_daemon import CLIENT, run, until
from tiermem.errors import TiermemError

UNIT = "oasis-ssd"
MOUNT = Path("/mnt/ssd")
DATA, BRIEF = Path("/dev/tiermem/data"), Path("/dev/tiermem/brief")
COUNT = Path("/run/commits")
STOP = Path("/run/commits-stop")
FILE = random.Random(1).randbytes(3 << 20)
MIB = 1 << 20
SLICE_MIB = 24


def instance(name: str) -> Any:
    return CLIENT.get("/v1/instance", {"name": name})


def is_ready(name: str) -> bool:
    return bool(instance(name)["is_ready"])


def attach_one(name: str, mib: int, io_timeout_s: float) -> None:
    body = {"kind": "ssd", "size": f"{mib}M", "name": name, "io_timeout_s": io_timeout_s}
    CLIENT.post("/v1/attach", body)
    until(lambda: is_ready(name), f"{name} is served")


def commits() -> int:
    return int(COUNT.read_text() or 0) if COUNT.exists() else 0


def write_commits() -> None:
    """Until it is told to stop; whatever fails ends it."""
    number = 0
    with (MOUNT / "commits").open("w") as file:
        while not STOP.exists():
            number += 1
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
            COUNT.write_text(str(number))
            time.sleep(0.02)


def goes_on() -> bool:
    """The writer, by some commits."""
    before = commits()
    return bool(until(lambda: commits() > before + 3, "commits go on"))


def attach() -> dict[str, Any]:
    until(lambda: any(one["health"] == "healthy" for one in CLIENT.get("/v1/ls")["devices"]), "SSD")
    attach_one("data", SLICE_MIB, 0)
    attach_one("brief", 4, 3)
    run(f"mkfs.ext4 -q -F {DATA}")
    MOUNT.mkdir(exist_ok=True)
    run(f"mount {DATA} {MOUNT}")
    (MOUNT / "file").write_bytes(FILE)
    run("sync")
    path = f"--setenv=PYTHONPATH={os.environ['PYTHONPATH']}"
    run(f"systemd-run --quiet --collect --unit=commits {path} python3 {__file__} commits")
    return {"by": instance("data")["by"], "commits": goes_on()}


def after_this_daemon() -> dict[str, Any]:
    """It is killed, and begins anew."""
    device = DATA.resolve()
    before = run(f"systemctl show -P MainPID {UNIT}")
    run(f"systemctl kill -s KILL {UNIT}")
    until(lambda: run(f"systemctl show -P MainPID {UNIT}") not in ("0\n", before), "restart")
    until(lambda: is_ready("data"), "data is served again")
    until(lambda: is_ready("brief"), "brief is served again")
    return {"this daemon": goes_on(), "same device": DATA.resolve() == device}


def fails() -> dict[str, Any]:
    """Nobody serves the SSD: a request fails in its time, or waits."""
    began_s = time.monotonic()
    try:
        read(BRIEF, MIB)
    except OSError as error:
        return {"errno": errno.errorcode[error.errno or 0], "late": time.monotonic() - began_s > 60}
    return {"errno": None}


def read(path: Path, size: int) -> bytes:
    """Past what the kernel has of it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, size, 0)
    finally:
        os.close(fd)


def end() -> dict[str, Any]:
    until(lambda: is_ready("data"), "data is served again")
    seen: dict[str, Any] = {"the other's daemon": goes_on(), **after_this_daemon()}
    with contextlib.suppress(TiermemError):
        CLIENT.post("/v1/detach", {"instance": "data"})
        seen["detached while mounted"] = True
    STOP.touch()
    until(lambda: not run("systemctl list-units -q commits.service"), "the writer ends")
    told = commits()
    run(f"umount {MOUNT}")
    run(f"blockdev --flushbufs {DATA}")
    run(f"mount {DATA} {MOUNT}")
    seen["file"] = (MOUNT / "file").read_bytes() == FILE
    lines = (MOUNT / "commits").read_text().split()
    seen["all commits"] = lines == [str(one + 1) for one in range(told)]
    run(f"umount {MOUNT}")
    run(f"e2fsck -fn {DATA}")
    CLIENT.post("/v1/detach", {"instance": "data"})
    until(lambda: len(CLIENT.get("/v1/ls")["instances"]) == 1, "data has gone")
    # As large as the one that has gone, so on its blocks: there is no other such gap.
    attach_one("other", SLICE_MIB, 0)
    other = Path("/dev/tiermem/other")
    seen["zeros"] = read(other, SLICE_MIB * MIB) == bytes(SLICE_MIB * MIB)
    for name in ("other", "brief"):
        CLIENT.post("/v1/detach", {"instance": name})
    until(lambda: not CLIENT.get("/v1/ls")["instances"], "all have gone")
    seen["left"] = sorted(one.name for one in Path("/dev/tiermem").iterdir())
    return seen


if __name__ == "__main__":
    if sys.argv[1] == "commits":
        write_commits()
    else:
        phases = {"attach": attach, "fails": fails, "end": end}
        print(json.dumps(phases[sys.argv[1]]()))
