"""One replay: a trace on a machine, with one contender deciding."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tiermem.errors import ConfigError, TiermemError
from tiermem.m5.rate_limit import RateLimiter
from tiermem.m5.settings import M5Settings
from tiermem.native.models import FOREVER_NS, U64, MemorySystem, ReplayMachine, Stop, Trackers
from tiermem.replay.contenders import Contender
from tiermem.replay.hardware import device_config
from tiermem.replay.load_meter import FAST, SLOW
from tiermem.replay.rounds import Rounds
from tiermem.replay.trace import Trace

PAGE_BYTES = 4096
_FRAMES_MAX = 1 << 28
Progress = Callable[[int], None]
"""Called with the records done so far."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """The replayed machine. memsys: parameters by name, as in defaults.toml.

    dram_share: fast frames as a share of the trace's pages, unless dram_pages
    is set. copy_instructions: kernel work of one page's move, beyond the copy's
    reads and writes. warmup: share of the records before anything is measured.
    """

    memsys: dict[str, int]
    dram_share: float = 0.25
    dram_pages: int | None = None
    copy_instructions: int = 12_000
    warmup: float = 0.25
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"replay: warm-up {self.warmup}: 0 up to below 1 is allowed")
        if not 0 < self.dram_share <= 1:
            raise ConfigError(f"replay: DRAM share {self.dram_share}: above 0, up to 1 is allowed")
        if self.dram_pages is not None and not 1 <= self.dram_pages <= _FRAMES_MAX:
            raise ConfigError(
                f"replay: DRAM of {self.dram_pages} pages: 1..{_FRAMES_MAX} is allowed"
            )
        if self.copy_instructions < 0:
            raise ConfigError("replay: instructions of a copy: 0 and up is allowed")

    def fast_frames(self, pages: int) -> int:
        """Frames of the fast tier for a trace of so many pages."""
        if self.dram_pages is not None:
            return self.dram_pages
        return max(1, round(pages * self.dram_share))


@dataclass(frozen=True, slots=True)
class Result:
    """What one replay measured; times and shares are of the part after the warm-up.

    accuracy_listed, accuracy_promoted: see `judge`; of the whole run, None where
    nothing was listed or promoted. accesses_per_s: of the modelled machine per
    second of this host's CPU, the making of synthetic records left out.
    """

    policy: str
    trace: str
    modelled_ms: float
    ns_per_access: float
    dram_read_share: float
    llc_hit_share: float
    pages_up: int
    pages_down: int
    rounds: int
    accuracy_listed: float | None
    accuracy_promoted: float | None
    last_reason: str
    accesses: int
    accesses_per_s: float


@dataclass(frozen=True, slots=True)
class _Mark:
    """Counters at a moment."""

    now_ns: int
    accesses: int
    fast_reads: int
    slow_reads: int
    llc_hits: int
    promoted: int
    demoted: int


def replay(
    trace: Trace,
    machine_settings: MachineSettings,
    settings: M5Settings,
    contender: Contender,
    progress: Progress = lambda _: None,
) -> Result:
    """Run `trace` from its start to its end.

    Raises TiermemError where the trace does not fit the machine or holds a
    malformed record (named by file and offset), ConfigError for parameters
    that the models refuse.
    """
    machine = build_machine(trace, machine_settings, settings, contender)
    policy = contender.make_policy(settings)
    rounds = Rounds(machine, settings, contender, policy) if policy is not None else None
    limiter = RateLimiter(
        settings.promoter.rate_limit_MBps, settings.promoter.burst_s, machine.now_ns
    )
    warm = round(trace.records * machine_settings.warmup)
    start = _mark(machine)
    done, spent_s, next_ns = 0, 0.0, rounds.first_ns if rounds else FOREVER_NS
    for chunk in trace.chunks():
        at = 0
        while at < chunk.size:
            until = warm - done if done < warm < done + chunk.size - at else chunk.size - at
            part = chunk[at : at + until]
            before_s = time.thread_time()
            ran, stop = machine.run(part, next_ns)
            spent_s += time.thread_time() - before_s
            at, done = at + ran, done + ran
            if done == warm and ran:
                start = _mark(machine)
            if stop is Stop.TIME and rounds is not None:
                next_ns = rounds.run(limiter)
            elif stop is not Stop.END:
                raise _stopped(stop, trace, done, part[ran:], machine)
        progress(done)
    return _result(trace, contender, rounds, (start, _mark(machine)), spent_s)


def build_machine(
    trace: Trace, machine_settings: MachineSettings, settings: M5Settings, contender: Contender
) -> ReplayMachine:
    """The machine with the trace's pages in place, if it wants them so."""
    fast = machine_settings.fast_frames(trace.pages)
    slow = trace.pages
    memsys = MemorySystem(machine_settings.memsys)
    if memsys.nr_tiers < 2:
        raise TiermemError("replay: needs a memory system of at least two tiers (nr_tiers)")
    memsys.set_ranges([(fast * PAGE_BYTES, slow * PAGE_BYTES, SLOW)])
    trackers = Trackers(machine_settings.seed)
    trackers.configure(device_config(settings.tracker, contender.lists, fast, slow))
    machine = ReplayMachine(memsys, trackers, fast, slow, machine_settings.copy_instructions)
    if trace.first_page is not None:
        machine.populate(trace.first_page, trace.pages)
    return machine


def _stopped(
    stop: Stop, trace: Trace, record: int, left: U64, machine: ReplayMachine
) -> TiermemError:
    where = trace.locate(record)
    if stop is Stop.BAD_RECORD:
        return TiermemError(f"{where}: malformed record {int(left[0]):#018x}")
    if stop is Stop.NO_FRAME:
        return TiermemError(
            f"{where}: touches more pages than the {machine.frames} frames there are"
        )
    return TiermemError(f"{where}: this host is out of memory")


def _mark(machine: ReplayMachine) -> _Mark:
    counters = machine.counters()
    return _Mark(
        now_ns=machine.now_ns,
        accesses=counters["accesses"],
        fast_reads=machine.memsys.tier(FAST)["reads"],
        slow_reads=machine.memsys.tier(SLOW)["reads"],
        llc_hits=machine.memsys.vcpu()["llc_hits"],
        promoted=counters["promoted"],
        demoted=counters["demoted"],
    )


def _result(
    trace: Trace,
    contender: Contender,
    rounds: Rounds | None,
    span: tuple[_Mark, _Mark],
    spent_s: float,
) -> Result:
    start, end = span
    accesses = end.accesses - start.accesses
    spent_ns = end.now_ns - start.now_ns
    fast = end.fast_reads - start.fast_reads
    slow = end.slow_reads - start.slow_reads
    return Result(
        policy=contender.name,
        trace=trace.name,
        modelled_ms=spent_ns / 1e6,
        ns_per_access=spent_ns / max(accesses, 1),
        dram_read_share=fast / max(fast + slow, 1),
        llc_hit_share=(end.llc_hits - start.llc_hits) / max(accesses, 1),
        pages_up=end.promoted - start.promoted,
        pages_down=end.demoted - start.demoted,
        rounds=rounds.count if rounds else 0,
        accuracy_listed=rounds.judge.listed.ratio if rounds else None,
        accuracy_promoted=rounds.judge.promoted.ratio if rounds else None,
        last_reason=rounds.last_reason if rounds else "",
        accesses=end.accesses,
        accesses_per_s=end.accesses / max(spent_s, 1e-9),
    )
