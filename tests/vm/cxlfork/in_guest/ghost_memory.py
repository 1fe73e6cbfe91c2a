"""What a ghost takes, all that the kernel needs for it included: prints it as JSON.

A cgroup is charged with what its processes allocate, and with what is allocated for them
by those outside: the namespaces and the group itself count in whoever makes them. So the
maker and its ghosts are put below one cgroup, and that is weighed before and after.
"""

from __future__ import annotations

import gc
import json
import os
import time
from pathlib import Path

from tiermem.cxlfork.ghosts import Ghosts
from tiermem.cxlfork.restoring.cgroups import Cgroups

ROOT = Path("/sys/fs/cgroup/ghost-memory")
COUNT = 32


def memory_bytes() -> int:
    time.sleep(1)  # until what was given back is no longer charged
    return int((ROOT / "memory.current").read_text())


def main() -> None:
    home = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().strip()[4:]
    (ROOT / "daemon").mkdir(parents=True)
    (ROOT / "daemon/cgroup.procs").write_text(str(os.getpid()))
    cgroups = Cgroups.find()
    assert (cgroups.base, cgroups.note) == (ROOT, "")
    first = Ghosts(1, cgroups)
    first.refill()  # what is loaded for the first one only does not count
    ghosts = Ghosts(COUNT, cgroups)
    gc.collect()
    before = memory_bytes()
    ghosts.refill()
    after = memory_bytes()
    own = [int(file.read_text()) for file in ROOT.glob("tiermem-*/memory.current")]
    print(json.dumps({"bytes_each": (after - before) / COUNT, "own_bytes": max(own)}))
    for some in (first, ghosts):
        some.close()
    (home / "cgroup.procs").write_text(str(os.getpid()))
    (ROOT / "daemon").rmdir()
    ROOT.rmdir()


if __name__ == "__main__":
    main()
