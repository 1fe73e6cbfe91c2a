"""The hardware models of fpga_models/, typed: trackers, memory system, replay's machine.

Thin on purpose: each class owns one C object and turns arrays and error codes
into Python's. What things mean is written in the C headers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.errors import ConfigError, MissingError, TiermemError
from tiermem.native.struct_dtype import struct_dtype

try:
    from tiermem.native._models import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _models is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

MEMSYS_DEFAULTS = Path(__file__).parents[3] / "fpga_models" / "memsys" / "defaults.toml"
FOREVER_NS = 2**64 - 1
LIST_ENTRIES_MAX: int = lib.TIERMEM_LIST_ENTRIES_MAX
ENTRY_DTYPE = struct_dtype(ffi, "tiermem_list_entry")
"""Fields address and count, both uint64."""


def pointer(array: npt.NDArray[Any], ctype: str) -> Any:
    """`array`'s memory as `ctype *`; the array must be contiguous and outlive the use."""
    return ffi.cast(f"{ctype} *", ffi.from_buffer(array))


def _owned(pointer_or_null: Any, destroy: Any, what: str) -> Any:
    if pointer_or_null == ffi.NULL:
        raise TiermemError(f"{what}: out of memory")
    return ffi.gc(pointer_or_null, destroy)


def _as_dict(struct: Any) -> dict[str, int]:
    return {name: int(getattr(struct, name)) for name, _ in ffi.typeof(struct).item.fields}


@dataclass(frozen=True, slots=True)
class EmittedList:
    """One list, hottest first: ENTRY_DTYPE entries, reads since the last one, time."""

    entries: npt.NDArray[np.void]
    reads: int
    busy_ns: int


class Trackers:
    """All trackers of one device (fpga_models/trackers/trackers.h)."""

    def __init__(self, seed: int) -> None:
        self.raw = _owned(lib.tm_trackers_create(seed), lib.tm_trackers_destroy, "trackers")
        self._list = ffi.new("struct tiermem_list *")

    def configure(self, config: bytes, now_ns: int = 0) -> None:
        """Take a struct tiermem_hw_config; ConfigError, with nothing changed, if it is wrong."""
        raw = ffi.new("struct tiermem_hw_config *")
        if len(config) != ffi.sizeof(raw[0]):
            raise ValueError(f"a configuration has {ffi.sizeof(raw[0])} bytes, not {len(config)}")
        ffi.memmove(raw, config, len(config))
        wrong = lib.tm_trackers_configure(self.raw, raw, now_ns)
        if wrong != ffi.NULL:
            raise ConfigError(f"trackers: {ffi.string(wrong).decode()}")

    def restart(self, now_ns: int) -> None:
        """Clear everything, counters too; periods start at `now_ns`."""
        lib.tm_trackers_restart(self.raw, now_ns)

    def access(self, address: int, is_write: bool, now_ns: int) -> int:
        """One access behind the cache; the mask of list kinds that are due."""
        return int(lib.tm_trackers_access(self.raw, address, is_write, now_ns))

    def read_many(self, addresses: U64, now_ns: int) -> int:
        """Reads in order (any number); the mask of kinds due after the last."""
        due = lib.tm_trackers_due(self.raw, now_ns)
        for start in range(0, addresses.size, lib.TM_BATCH_MAX):
            batch = np.ascontiguousarray(addresses[start : start + lib.TM_BATCH_MAX])
            due = lib.tm_trackers_read_many(
                self.raw, pointer(batch, "uint64_t"), batch.size, now_ns
            )
        return int(due)

    def due(self, now_ns: int) -> int:
        """The mask of kinds that are due."""
        return int(lib.tm_trackers_due(self.raw, now_ns))

    def emit(
        self, kind: int, max_entries: int = LIST_ENTRIES_MAX, *, keep: bool = False, now_ns: int = 0
    ) -> EmittedList:
        """One list of `kind`; clears it unless `keep`. TiermemError where the device refuses."""
        code = lib.tm_trackers_emit(self.raw, kind, max_entries, keep, now_ns, self._list)
        if code:
            raise TiermemError(f"trackers: list kind {kind}, {max_entries} entries: error {code}")
        data = ffi.buffer(self._list.entries, self._list.nr_entries * ENTRY_DTYPE.itemsize)
        return EmittedList(
            np.frombuffer(bytes(data), dtype=ENTRY_DTYPE),
            int(self._list.reads),
            int(self._list.busy_ns),
        )

    def clear(self, kinds: int, now_ns: int = 0) -> None:
        """Clear the kinds of a mask. ValueError for a kind that does not exist."""
        if lib.tm_trackers_clear(self.raw, kinds, now_ns):
            raise ValueError(f"trackers: mask {kinds:#x} names kinds that do not exist")

    def kinds(self) -> int:
        """The mask of kinds that are on."""
        return int(lib.tm_trackers_kinds(self.raw))

    def counters(self) -> dict[str, int]:
        """struct tm_trackers_counters."""
        out = ffi.new("struct tm_trackers_counters *")
        lib.tm_trackers_read_counters(self.raw, out)
        return _as_dict(out)

    def exact_counts(self, kind: int, first_unit: int, units: int) -> U32:
        """PAC or WAC counts of `units` units from `first_unit` (0 = the range's first)."""
        counts = np.empty(units, dtype=np.uint32)
        lib.tm_trackers_read_exact(self.raw, kind, first_unit, units, pointer(counts, "uint32_t"))
        return counts


def memsys_defaults() -> dict[str, int]:
    """The parameters of fpga_models/memsys/defaults.toml."""
    return {name: int(value) for name, value in tomllib.loads(MEMSYS_DEFAULTS.read_text()).items()}


class MemorySystem:
    """Last-level cache, tiers and modelled clock (fpga_models/memsys/memsys.h)."""

    def __init__(self, parameters: Mapping[str, int], nr_vcpus: int = 1) -> None:
        """ConfigError for a parameter that does not exist or is out of range."""
        raw = ffi.new("struct ms_parameters *")
        low, high = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        for name, value in parameters.items():
            code = lib.ms_parameters_set(raw, name.encode(), str(value).encode(), low, high)
            if code == -1:
                raise ConfigError(f"memory system: no parameter {name!r}")
            if code:
                raise ConfigError(
                    f"memory system: {name} = {value}: {low[0]}..{high[0]} is allowed"
                )
        wrong = lib.ms_parameters_check(raw)
        if wrong != ffi.NULL:
            raise ConfigError(f"memory system: {ffi.string(wrong).decode()}")
        self.ps_per_instruction = int(raw.ps_per_instruction)
        self.nr_tiers = int(raw.nr_tiers)
        self.raw = _owned(lib.ms_create(raw, nr_vcpus), lib.ms_destroy, "memory system")

    def set_ranges(self, ranges: list[tuple[int, int, int]]) -> None:
        """(base, bytes, tier) each; ConfigError, with the old ones kept, if they are wrong."""
        raw = ffi.new("struct ms_range[]", [(*one, 0) for one in ranges])
        wrong = lib.ms_set_ranges(self.raw, raw, len(ranges))
        if wrong != ffi.NULL:
            raise ConfigError(f"memory system: {ffi.string(wrong).decode()}")

    def run(self, addresses: U64, kinds: U8, gap: int, vcpu: int = 0) -> tuple[U64, U64]:
        """Accesses `gap` instructions apart: addresses filled, and lines written back."""
        fills, victims = np.empty_like(addresses), np.empty_like(addresses)
        counts = ffi.new("uint64_t[2]")
        lib.ms_run(
            self.raw,
            vcpu,
            addresses.size,
            pointer(addresses, "uint64_t"),
            pointer(kinds, "uint8_t"),
            gap,
            pointer(fills, "uint64_t"),
            counts,
            pointer(victims, "uint64_t"),
            counts + 1,
        )
        return fills[: counts[0]], victims[: counts[1]]

    def now_ps(self) -> int:
        """Modelled time."""
        return int(lib.ms_now_ps(self.raw))

    def tier(self, tier: int) -> dict[str, int]:
        """struct ms_tier_counters."""
        out = ffi.new("struct ms_tier_counters *")
        lib.ms_read_tier(self.raw, tier, out)
        return _as_dict(out)

    def vcpu(self, vcpu: int = 0) -> dict[str, int]:
        """struct ms_vcpu_counters."""
        out = ffi.new("struct ms_vcpu_counters *")
        lib.ms_read_vcpu(self.raw, vcpu, out)
        return _as_dict(out)


class Stop(IntEnum):
    """enum replay_stop."""

    END = lib.REPLAY_END
    TIME = lib.REPLAY_TIME
    BAD_RECORD = lib.REPLAY_BAD_RECORD
    NO_FRAME = lib.REPLAY_NO_FRAME
    NO_MEMORY = lib.REPLAY_NO_MEMORY


class ReplayMachine:
    """Page table, memory system and trackers in one loop (replay_machine.h)."""

    def __init__(
        self,
        memsys: MemorySystem,
        trackers: Trackers,
        fast_frames: int,
        slow_frames: int,
        copy_instructions: int,
    ) -> None:
        self.memsys = memsys
        self.trackers = trackers
        self.fast_frames = fast_frames
        self.frames = fast_frames + slow_frames
        created = lib.replay_create(
            memsys.raw, trackers.raw, fast_frames, slow_frames, copy_instructions
        )
        self.raw = _owned(created, lib.replay_destroy, "replay")
        self._stop = ffi.new("uint32_t *")
        self.reads: U32 = np.frombuffer(
            ffi.buffer(lib.replay_reads(self.raw), 4 * self.frames), dtype=np.uint32
        )
        """Reads by frame; a view that changes as the machine runs."""

    def populate(self, first_page: int, pages: int) -> None:
        """Place pages in order, fast frames first. TiermemError when both tiers are full."""
        if lib.replay_populate(self.raw, first_page, pages) != Stop.END:
            raise TiermemError(f"replay: {pages} pages do not fit into {self.frames} frames")

    def run(self, records: U64, stop_ns: int = FOREVER_NS) -> tuple[int, Stop]:
        """Run records until their end or a stop; how many are done, and why no more."""
        done = lib.replay_run(
            self.raw, pointer(records, "uint64_t"), records.size, stop_ns, self._stop
        )
        return int(done), Stop(self._stop[0])

    def make_room(self, pages: int) -> int:
        """Push cold pages down; how many went."""
        return int(lib.replay_make_room(self.raw, pages))

    def promote(self, frames: U64) -> U8:
        """Move slow frames up; one enum tiermem_promote_result each."""
        frames = np.ascontiguousarray(frames, dtype=np.uint64)
        results = np.empty(frames.size, dtype=np.uint8)
        lib.replay_promote(
            self.raw, pointer(frames, "uint64_t"), frames.size, pointer(results, "uint8_t")
        )
        return results

    def spend(self, instructions: int) -> None:
        """Execute instructions that touch no memory."""
        lib.replay_spend(self.raw, instructions)

    @property
    def now_ns(self) -> int:
        """Modelled time."""
        return int(lib.replay_now_ns(self.raw))

    def counters(self) -> dict[str, int]:
        """struct replay_counters."""
        out = ffi.new("struct replay_counters *")
        lib.replay_read_counters(self.raw, out)
        return _as_dict(out)

    def pages(self) -> U64:
        """The page in each frame, 2^64-1 where there is none (a copy)."""
        view = ffi.buffer(lib.replay_pages(self.raw), 8 * self.frames)
        return np.frombuffer(bytes(view), dtype=np.uint64)


def count_pages(records: U64) -> tuple[int, int]:
    """Distinct pages of a trace, and the position of its first malformed record (or its length)."""
    bad = ffi.new("uint64_t *")
    pages = lib.trace_count_pages(pointer(records, "uint64_t"), records.size, bad)
    if pages == 2**64 - 1:
        raise TiermemError("replay: out of memory while counting pages")
    return int(pages), int(bad[0])
