"""The memory system in plain Python, as fpga_models/memsys/*.h describe it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

LINE = 64
LOAD, STORE, STORE_LINE = 0, 1, 2


def set_of(line: int, sets: int) -> int:
    """The set of a line: its low bits, those above a page's 64 lines scattered by a hash."""
    slot = line % 64
    key = line // sets * 64 + slot
    hashed = key * 0x9E3779B97F4A7C15 % 2**64 >> 40
    return line % sets ^ hashed % sets // 64 * 64


class Cache:
    """Set-associative, hashed sets, true LRU, write-allocate, write-back."""

    def __init__(self, size: int, ways: int) -> None:
        self.ways = ways
        self.sets: list[OrderedDict[int, bool]] = [
            OrderedDict() for _ in range(size // LINE // ways)
        ]

    def access(self, address: int, kind: int) -> tuple[int | None, int | None]:
        """(kind of the access where it missed, line address written back)."""
        line = address // LINE
        lines = self.sets[set_of(line, len(self.sets))]
        if line in lines:
            lines[line] |= kind != LOAD
            lines.move_to_end(line)
            return None, None
        victim = None
        if len(lines) == self.ways:
            gone, was_dirty = lines.popitem(last=False)
            victim = gone * LINE if was_dirty else None
        lines[line] = kind != LOAD
        return kind, victim


class Streams:
    """Runs of misses from line to next line, by page, 32 pages remembered."""

    def __init__(self, trigger: int) -> None:
        self.trigger = trigger
        self.pages: dict[int, tuple[int, int, int, int]] = {}

    def miss(self, address: int) -> bool:
        page, line = address // 4096, address % 4096 // LINE
        slot = (page + 1) % 32
        known, last, direction, run = self.pages.get(slot, (None, 0, 0, 0))
        step = line - last
        if known != page or step not in (1, -1):
            self.pages[slot] = (page, line, 0, 0)
            return False
        run = run if step == direction else 0
        self.pages[slot] = (page, line, step, run + 1)
        return run >= self.trigger


@dataclass
class Vcpu:
    """What each vCPU has of its own."""

    streams: Streams
    instructions: int = 0
    stall_ps: int = 0
    last_miss: int | None = None
    seen_ps: int = 0
    """Busy time when its last access began."""
    window_start_ps: int = 0


@dataclass
class Tier:
    """Traffic of one tier, and what a lone read costs under the load of the last window."""

    bandwidth: int
    """In MB/s."""
    latency_ps: int
    loaded_ps: int
    reads: int = 0
    writes: int = 0
    window_bytes: int = 0


@dataclass
class Memory:
    """vCPUs over one cache and two tiers, memory below `border` being the fast one."""

    p: dict[str, int]
    border: int
    nr_vcpus: int = 1
    closed_ps: int = 0
    progress_ps: int = 0
    vcpus: list[Vcpu] = field(init=False)
    tiers: list[Tier] = field(init=False)

    def __post_init__(self) -> None:
        self.cache = Cache(self.p["llc_bytes"], self.p["llc_ways"])
        self.vcpus = [Vcpu(Streams(self.p["stream_trigger"])) for _ in range(self.nr_vcpus)]
        self.tiers = [self._idle_tier(number) for number in (0, 1)]

    def _idle_tier(self, number: int) -> Tier:
        latency_ps = self.p[f"tier{number}_latency_ps"]
        return Tier(self.p[f"tier{number}_bandwidth_MBps"], latency_ps, latency_ps)

    @property
    def now_ps(self) -> int:
        """The memory system's time: that of the vCPU that got farthest in each window."""
        return self.closed_ps + self.progress_ps

    def busy_ps(self, vcpu: int) -> int:
        v = self.vcpus[vcpu]
        return v.instructions * self.p["ps_per_instruction"] + v.stall_ps

    def tier_of(self, address: int) -> Tier:
        return self.tiers[address >= self.border]

    def access(self, address: int, kind: int, gap: int, vcpu: int = 0) -> None:
        v = self.vcpus[vcpu]
        v.instructions += gap
        v.seen_ps = self.busy_ps(vcpu)
        lived_ps = v.seen_ps - v.window_start_ps
        self.progress_ps = max(self.progress_ps, lived_ps)
        if lived_ps >= self.p["window_ns"] * 1000:
            self._close_window(lived_ps)
        missed, victim = self.cache.access(address, kind)
        if missed in (LOAD, STORE):
            v.stall_ps += self._fill_ps(v, address, kind == STORE)
        else:
            v.stall_ps += self.p["llc_hit_ps"]
        if victim is not None:
            self.tier_of(victim).writes += 1
            self.tier_of(victim).window_bytes += LINE

    def _fill_ps(self, v: Vcpu, address: int, is_write: bool) -> int:
        tier = self.tier_of(address)
        streamed = v.streams.miss(address)
        overlapped = (
            v.last_miss is not None and v.instructions - v.last_miss <= self.p["rob_instructions"]
        )
        v.last_miss = v.instructions
        tier.reads += 1
        tier.window_bytes += LINE
        if streamed:
            share = self.p["stream_permille"]
        else:
            share = 1000
            share = share * self.p["store_permille"] // 1000 if is_write else share
            share = share * self.p["overlap_permille"] // 1000 if overlapped else share
        return max(tier.loaded_ps * share // 1000, LINE * 1_000_000 // tier.bandwidth)

    def _close_window(self, elapsed_ps: int) -> None:
        self.closed_ps += elapsed_ps
        self.progress_ps = 0
        for v in self.vcpus:
            v.window_start_ps = v.seen_ps
        for tier in self.tiers:
            capacity = elapsed_ps // 1000 * tier.bandwidth // 1000
            u = min(tier.window_bytes * 1000 // capacity, self.p["load_max_permille"])
            # load x u^4 / (1 - u), in units of 2^-20.
            load = (u**4 // 10**6 * self.p["load_permille"] << 20) // ((1000 - u) * 10**6)
            tier.loaded_ps = tier.latency_ps + (tier.latency_ps * load >> 20)
            tier.window_bytes = 0
