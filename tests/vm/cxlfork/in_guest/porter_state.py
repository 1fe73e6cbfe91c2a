"""What cxlforkd has after the porter's calls, and a clone with limits: prints it as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tiermem.service.client import LocalClient

CLIENT = LocalClient(Path("/run/tiermem/fork.sock"), timeout_s=300)


def cgroup_of(pid: int) -> Path:
    """Its folder."""
    own = Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")
    return Path("/sys/fs/cgroup") / own


def limited(image: str) -> dict[str, Any]:
    """A clone that waits on a pipe, with limits; ended again."""
    reading, writing = os.pipe()
    body = {"name": image, "memory_MiB": 64, "cpus": 0.5}
    body |= {"stdio_of": os.getpid(), "stdio_fds": [reading, writing, 2]}
    (clone,) = CLIENT.post("/v1/restore", body)
    group = cgroup_of(clone["pid"])
    found = {name: (group / name).read_text().strip() for name in ("memory.max", "cpu.max")}
    CLIENT.post("/v1/end", {"pid": clone["pid"]})
    deadline = time.monotonic() + 60
    while group.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return {**found, "is_gone": not group.exists()}


def main(image: str) -> None:
    clones = CLIENT.get("/v1/clones")
    for clone in clones:
        clone["cgroup"] = str(cgroup_of(clone["pid"]))
    state = {
        "images": {one["name"]: one for one in CLIENT.get("/v1/images")},
        "clones": clones,
        "pages": CLIENT.get("/v1/image", {"name": image})["pages"],
        "limited": limited(image),
    }
    print(json.dumps(state))


if __name__ == "__main__":
    main(sys.argv[1])
