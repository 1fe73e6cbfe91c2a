"""What the kernel's tracing says: pages that a kernel policy would promote.

A tracing instance of its own, so that nobody else's events get in the way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRACING = Path("/sys/kernel/tracing")
INSTANCE = TRACING / "instances/tiermem-bench"
BUFFER_KIB = 32768
PAGE_STRUCT_BYTES = 64
PAGE_BYTES = 4096

# Called for a page that a hint fault found misplaced and hot enough, right
# before the kernel looks for room on the target node.
_PROMOTION = (
    "p:tiermem/promotion migrate_misplaced_folio_prepare "
    "folio=$arg1:x64 base=@vmemmap_base:x64 target=$arg3:s32"
)


@contextmanager
def _instance(event: str) -> Iterator[Path]:
    INSTANCE.mkdir(exist_ok=True)
    try:
        (INSTANCE / "buffer_size_kb").write_text(str(BUFFER_KIB))
        (INSTANCE / "events" / event / "enable").write_text("1")
        yield INSTANCE / "trace"
        (INSTANCE / "events" / event / "enable").write_text("0")
    finally:
        with suppress(OSError):
            INSTANCE.rmdir()


@contextmanager
def numa_promotions() -> Iterator[set[int]]:
    """Page frames that NUMA balancing decided to promote to node 0 within the block."""
    found: set[int] = set()
    _change_kprobes(_PROMOTION)
    try:
        with _instance("tiermem/promotion") as trace:
            yield found
            found |= parse_promotions(trace.read_text())
    finally:
        _change_kprobes("-:tiermem/promotion")


def _change_kprobes(line: str) -> None:
    """Add one line; the file can be appended to, but not sought, as mode "a" would."""
    events = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, f"{line}\n".encode())
    finally:
        os.close(events)


@contextmanager
def damon_hot_regions() -> Iterator[set[int]]:
    """Page frames of the regions that a DAMON scheme was applied to within the block."""
    found: set[int] = set()
    with _instance("damon/damos_before_apply") as trace:
        yield found
        found |= parse_regions(trace.read_text())


def parse_promotions(text: str) -> set[int]:
    """Page frames in the probe's lines whose target is node 0."""
    line = re.compile(r"folio=0x([0-9a-f]+) base=0x([0-9a-f]+) target=(-?\d+)")
    return {
        (int(folio, 16) - int(base, 16)) // PAGE_STRUCT_BYTES
        for folio, base, target in line.findall(text)
        if target == "0"
    }


def parse_regions(text: str) -> set[int]:
    """Page frames in the [start-end) ranges of damos_before_apply's lines."""
    frames: set[int] = set()
    for start, end in set(re.findall(r"damos_before_apply:.* (\d+)-(\d+): ", text)):
        frames.update(range(int(start) // PAGE_BYTES, int(end) // PAGE_BYTES))
    return frames
