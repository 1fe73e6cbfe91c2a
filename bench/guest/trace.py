"""What the kernel's tracing says: pages that a kernel policy would promote.

A tracing instance of its own, so that nobody else's events get in the way. Its
buffer is kernel memory, which only the scaled-down DRAM node has: it is small,
and read all the time.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.guest.processes import RunError

TRACING = Path("/sys/kernel/tracing")
INSTANCE = TRACING / "instances/tiermem-bench"
BUFFER_KIB = 2048
READ_PERIOD_S = 0.02
PAGE_STRUCT_BYTES = 64
PAGE_BYTES = 4096

# Called for a page that a hint fault found misplaced and hot enough, right
# before the kernel looks for room on the target node.
_PROMOTION = (
    "p:tiermem/promotion migrate_misplaced_folio_prepare "
    "folio=$arg1:x64 base=@vmemmap_base:x64 target=$arg3:s32"
)


@contextmanager
def _frames_in(event: str, parse: Callable[[str], set[int]]) -> Iterator[set[int]]:
    """Page frames that `parse` finds in the lines of an event within the block."""
    found: set[int] = set()
    INSTANCE.mkdir(exist_ok=True)
    try:
        (INSTANCE / "buffer_size_kb").write_text(str(BUFFER_KIB))
        (INSTANCE / "events" / event / "enable").write_text("1")
        ended = threading.Event()
        reader = threading.Thread(target=_read_lines, args=(ended, parse, found))
        reader.start()
        try:
            yield found
        finally:
            (INSTANCE / "events" / event / "enable").write_text("0")
            ended.set()
            reader.join()
        lost = _lost_events()
    finally:
        with suppress(OSError):
            INSTANCE.rmdir()
    if lost:
        raise RunError(f"{event}: {lost} events were lost; read more often or buffer more")


def _read_lines(ended: threading.Event, parse: Callable[[str], set[int]], found: set[int]) -> None:
    pipe = os.open(INSTANCE / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(pipe, "rb", buffering=0) as lines:
        rest = b""
        while True:
            last = ended.wait(READ_PERIOD_S)
            while piece := lines.read(1 << 20):
                whole, newline, rest = (rest + piece).rpartition(b"\n")
                found |= parse((whole + newline).decode())
            if last:
                return


def _lost_events() -> int:
    """Events that found the buffer full."""
    lost = 0
    for cpu in INSTANCE.glob("per_cpu/cpu*/stats"):
        counted = re.findall(r"^(?:overrun|dropped events): (\d+)$", cpu.read_text(), re.MULTILINE)
        lost += sum(map(int, counted))
    return lost


@contextmanager
def numa_promotions() -> Iterator[set[int]]:
    """Page frames that NUMA balancing decided to promote to node 0 within the block."""
    _change_kprobes(_PROMOTION)
    try:
        with _frames_in("tiermem/promotion", parse_promotions) as found:
            yield found
    finally:
        _change_kprobes("-:tiermem/promotion")


@contextmanager
def damon_hot_regions() -> Iterator[set[int]]:
    """Page frames of the regions that a DAMON scheme was applied to within the block."""
    with _frames_in("damon/damos_before_apply", parse_regions) as found:
        yield found


def _change_kprobes(line: str) -> None:
    """Add one line; the file can be appended to, but not sought, as mode "a" would."""
    events = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, f"{line}\n".encode())
    finally:
        os.close(events)


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
