"""How much more memory this process had at most, while something ran."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from tiermem.errors import MissingError

_RESET_PEAK = "5"


def peak_growth_bytes(run: Callable[[], object]) -> int:
    """The highest resident set while `run` ran, less the one before. MissingError where the
    kernel does not keep it."""
    try:
        _give_back_free_memory()
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        before = _status_bytes("VmRSS")
        run()
        return max(0, _status_bytes("VmHWM") - before)
    except (OSError, KeyError) as error:
        raise MissingError(f"the peak of memory cannot be read from /proc: {error}") from None


def _give_back_free_memory() -> None:
    """What was freed and kept by the C library would be taken again, and not be seen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields[name].split()[0]) << 10
