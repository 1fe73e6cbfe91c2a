"""How much of a process lies on which node: /proc/PID/numa_maps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tiermem.layer.pages.mappings import read_process_file


@dataclass(frozen=True)
class NumaMapping:
    """One mapping: its policy, and its pages (of `page_bytes` each) by node."""

    start: int
    policy: str
    file: str
    page_bytes: int
    anon_pages: int
    dirty_pages: int
    pages_by_node: dict[int, int]

    @property
    def bytes_by_node(self) -> dict[int, int]:
        """Bytes in memory, by node."""
        return {node: pages * self.page_bytes for node, pages in self.pages_by_node.items()}


def read_numa_maps(pid: int, proc: Path = Path("/proc")) -> tuple[NumaMapping, ...]:
    """All mappings of `pid` that the kernel shows, ascending."""
    text = read_process_file(pid, "numa_maps", proc)
    return tuple(parse_numa_map(line) for line in text.splitlines())


def bytes_by_node(pid: int, proc: Path = Path("/proc")) -> dict[int, int]:
    """The process' memory by node; pages that it shares count in full."""
    total: defaultdict[int, int] = defaultdict(int)
    for mapping in read_numa_maps(pid, proc):
        for node, count in mapping.bytes_by_node.items():
            total[node] += count
    return dict(sorted(total.items()))


def parse_numa_map(line: str) -> NumaMapping:
    """`start policy key=value… N0=… kernelpagesize_kB=4`; words without `=` are marks."""
    start, policy, *words = line.split()
    # A policy such as "prefer (many):0-1" has a space in it.
    while words and "=" not in words[0] and words[0].startswith("("):
        policy += " " + words.pop(0)
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    return NumaMapping(
        start=int(start, 16),
        policy=policy,
        file=fields.get("file", "").replace("\\040", " "),
        page_bytes=int(fields.get("kernelpagesize_kB", "4")) * 1024,
        anon_pages=int(fields.get("anon", "0")),
        dirty_pages=int(fields.get("dirty", "0")),
        pages_by_node={
            int(key[1:]): int(value)
            for key, value in fields.items()
            if key[0] == "N" and key[1:].isdigit()
        },
    )
