"""How much of a range really is in huge pages: /proc/PID/smaps.

Asking for huge pages (MADV_HUGEPAGE) is a wish; what came of it only the kernel says.
"""

from __future__ import annotations

import re
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.mappings import read_process_file

HUGE_BYTES = 2 << 20

_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ", re.MULTILINE)
_HUGE = re.compile(r"^AnonHugePages:\s+(\d+) kB", re.MULTILINE)


def huge_bytes(pid: int, start: int, size_bytes: int, proc: Path = Path("/proc")) -> int | None:
    """Bytes in huge pages of the mappings of `pid` within the pages from `start` on.

    None where this process may not look, or the other has ended.
    """
    try:
        text = read_process_file(pid, "smaps", proc)
    except TiermemError:
        return None
    stop = start + -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
    total = 0
    found = [*_MAPPING.finditer(text)]
    for place, mapping in enumerate(found):
        if start <= int(mapping[1], 16) and int(mapping[2], 16) <= stop:
            end = found[place + 1].start() if place + 1 < len(found) else len(text)
            huge = _HUGE.search(text, mapping.end(), end)
            total += int(huge[1]) << 10 if huge else 0
    return total
