"""The memory system in plain Python, as fpga_models/memsys/*.h describe it."""

from __future__ import annotations

from collections import OrderedDict

LINE = 64
LOAD, STORE, STORE_LINE = 0, 1, 2


class Cache:
    """Set-associative, true LRU, write-allocate, write-back."""

    def __init__(self, size: int, ways: int) -> None:
        self.ways = ways
        self.sets: list[OrderedDict[int, bool]] = [
            OrderedDict() for _ in range(size // LINE // ways)
        ]

    def access(self, address: int, kind: int) -> tuple[int | None, int | None]:
        """(kind of the access where it missed, line address written back)."""
        line = address // LINE
        lines = self.sets[line % len(self.sets)]
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


class Clock:
    """One vCPU over two tiers, memory below `border` being the fast one."""

    def __init__(self, parameters: dict[str, int], border: int) -> None:
        self.p = parameters
        self.border = border
        self.cache = Cache(parameters["llc_bytes"], parameters["llc_ways"])
        self.streams = Streams(parameters["stream_trigger"])
        self.instructions = 0
        self.stall_ps = 0
        self.last_miss: int | None = None
        self.window_start_ps = 0
        self.window_bytes = [0, 0]
        self.loaded_ps = [parameters["tier0_latency_ps"], parameters["tier1_latency_ps"]]
        self.reads = [0, 0]
        self.writes = [0, 0]

    @property
    def busy_ps(self) -> int:
        return self.instructions * self.p["ps_per_instruction"] + self.stall_ps

    def tier_of(self, address: int) -> int:
        return int(address >= self.border)

    def access(self, address: int, kind: int, gap: int) -> None:
        self.instructions += gap
        if self.busy_ps - self.window_start_ps >= self.p["window_ns"] * 1000:
            self._close_window()
        missed, victim = self.cache.access(address, kind)
        if missed in (LOAD, STORE):
            self.stall_ps += self._fill_ps(address, kind == STORE)
        else:
            self.stall_ps += self.p["llc_hit_ps"]
        if victim is not None:
            self.writes[self.tier_of(victim)] += 1
            self.window_bytes[self.tier_of(victim)] += LINE

    def _fill_ps(self, address: int, is_write: bool) -> int:
        tier = self.tier_of(address)
        streamed = self.streams.miss(address)
        overlapped = (
            self.last_miss is not None
            and self.instructions - self.last_miss <= self.p["rob_instructions"]
        )
        self.last_miss = self.instructions
        self.reads[tier] += 1
        self.window_bytes[tier] += LINE
        if streamed:
            share = self.p["stream_permille"]
        else:
            share = 1000
            share = share * self.p["store_permille"] // 1000 if is_write else share
            share = share * self.p["overlap_permille"] // 1000 if overlapped else share
        line_ps = LINE * 1_000_000 // self.p[f"tier{tier}_bandwidth_MBps"]
        return max(self.loaded_ps[tier] * share // 1000, line_ps)

    def _close_window(self) -> None:
        elapsed_ps = self.busy_ps - self.window_start_ps
        self.window_start_ps = self.busy_ps
        for tier in (0, 1):
            capacity = elapsed_ps // 1000 * self.p[f"tier{tier}_bandwidth_MBps"] // 1000
            u = self.window_bytes[tier] * 1000 // capacity
            u = min(u, self.p["load_max_permille"])
            # load x u^4 / (1 - u), in units of 2^-20.
            load = (u**4 // 10**6 * self.p["load_permille"] << 20) // ((1000 - u) * 10**6)
            latency = self.p[f"tier{tier}_latency_ps"]
            self.loaded_ps[tier] = latency + (latency * load >> 20)
            self.window_bytes[tier] = 0
