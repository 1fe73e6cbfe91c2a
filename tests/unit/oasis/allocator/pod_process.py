"""A host of a pod as a process: `python -m tests.unit.oasis.allocator.pod_process POOL HOST RUN`.

Prints the table that it obeys, and whether it leads, as a line of JSON whenever that changes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tiermem.layer.pool import open_pool
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.leadership import Standing
from tiermem.oasis.allocator.member import Member
from tiermem.oasis.allocator.state import PodState

from tests.unit.oasis.allocator.hand_made import nic, wants

LEASE_S, PERIOD_S = 0.6, 0.05


def main() -> None:
    """Go on until killed."""
    path, host, run_dir = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with (
        open_pool(path, host, run_dir=run_dir) as pool,
        pool.open_area("allocator") as area,
        PodState(area, host) as state,
    ):
        member = Member(state, lease_s=LEASE_S)
        before = ""
        while True:
            table = member.step(Report((nic(host),), (wants(host, 0, 10),)))
            line = json.dumps(
                {
                    "leads": member.leadership.standing is Standing.LEADING,
                    "term": table.decided_term,
                    "instances": [list(instance) for instance, _ in table.assignments],
                }
            )
            if line != before:
                print(line, flush=True)
                before = line
            time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
