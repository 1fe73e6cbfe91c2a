"""Starts of one function in all ways, inside the guest: `python3 -m bench.guest.fork SPEC RESULT`.

The function is started cold and called until it is warm; its images are taken. Then,
with the hardware model armed, it starts once more in each way, over and over: cold, by
fork, restored by cxlforkd and by CRIU. Before each start the last-level cache is filled
with other things, as it is on a host where other functions ran meanwhile.

The first useful instruction is that in which the new instance answers on its pipe: it was
asked to before it was there. Whoever demanded it reads the modelled clock then; the pipe
and the switch to the reader are in all ways the same. The rest of what a restorer does
(its daemon's bookkeeping, its own end) is over before the first call is demanded, and is
in no time: on a host with more than the one CPU it is nobody's.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

import numpy as np
from tiermem.errors import TiermemError

from bench.guest import fork_criu
from bench.guest.fork_daemon import ForkDaemon, pool_bytes
from bench.guest.fork_instances import FOLDER, PROGRAM
from bench.guest.fork_spec import (
    COLD,
    CRIU_CXL,
    CRIU_DRAM,
    FORK,
    GHOST,
    POLICIES,
    ForkResult,
    ForkSpec,
    Sharing,
    Start,
)
from bench.guest.fork_ways import Started, Ways
from bench.guest.modelled_clock import ModelledClock, Moment
from bench.guest.processes import RunError
from bench.guest.run import cxl_range

BENCH = Path(__file__).parents[1]
_OTHER_BYTES = 24 << 20
# With a ghost first: that uses it up, and the next has to make its own.
_RESTORES = [f"{policy}{suffix}" for policy in POLICIES for suffix in (GHOST, "")]


class _Stopwatch:
    """Modelled time from its making to `stop`."""

    def __init__(self, clock: ModelledClock) -> None:
        self._clock = clock
        self._begin = clock.now()
        self.taken = Moment(0, 0)

    def stop(self) -> None:
        """Now."""
        self.taken = self._clock.now().since(self._begin)


class Measurement:
    """All starts of one spec."""

    def __init__(self, spec: ForkSpec, ways: Ways, clock: ModelledClock) -> None:
        self._spec, self._ways, self._clock = spec, ways, clock
        self._other = np.ones(_OTHER_BYTES, dtype=np.uint8)
        self._expected = 0
        self.starts: list[Start] = []
        self.sharing: list[Sharing] = []

    def run(self) -> None:
        """Everything; the original is gone afterwards."""
        self._rehearse(FORK, *_RESTORES[:2])
        with self._clock.armed(*cxl_range()):
            for _ in range(self._spec.repeats):
                for method in (FORK, *_RESTORES):
                    self._measure(method)
            self._measure(COLD)
        self.sharing = [self._share(count) for count in (1, self._spec.clones)]
        self._ways.end_original()
        self._rehearse(CRIU_CXL, CRIU_DRAM)
        with self._clock.armed(*cxl_range()):
            for _ in range(self._spec.repeats):
                for method in (CRIU_CXL, CRIU_DRAM):
                    self._measure(method)

    def _rehearse(self, *methods: str) -> None:
        """Once each, unmeasured: what is read from disk and found out once is there then."""
        for method in methods:
            self._ways.prepare(method)
            instance = self._ways.start(method, lambda: None).instance
            self._check(method, instance.call())
            instance.close()

    def _measure(self, method: str) -> None:
        self._ways.prepare(method)
        self._other.sum()
        restore = _Stopwatch(self._clock)
        started = self._ways.start(method, restore.stop)
        first = self._time_call(method, started)
        after_first = started.instance.memory()
        warm_ns = [
            self._time_call(method, started, check=False).modelled_ns
            for _ in range(self._spec.warm_calls)
        ]
        after_warm = started.instance.memory()
        started.instance.close()
        self.starts.append(
            Start(
                method=method,
                restore_ns=restore.taken.modelled_ns,
                first_call_ns=restore.taken.modelled_ns + first.modelled_ns,
                warm_ns=warm_ns,
                guest_ns=restore.taken.guest_ns,
                after_first=after_first,
                after_warm=after_warm,
                phases_ns=started.phases_ns,
            )
        )

    def _time_call(self, method: str, started: Started, *, check: bool = True) -> Moment:
        watch = _Stopwatch(self._clock)
        said = started.instance.call()
        watch.stop()
        if check and method != COLD:
            self._check(method, said)
        return watch.taken

    def _check(self, method: str, said: int) -> None:
        """All that go on from the same moment must say the same."""
        if said != (self._expected or said):
            raise RunError(f"{method}: another answer than the others': {said}")
        self._expected = said

    def _share(self, count: int) -> Sharing:
        """So many clones at once."""
        before = _free_dram()
        clones = [self._ways.start(POLICIES[0], lambda: None).instance for _ in range(count)]
        for clone in clones:
            clone.call()
        own = sum(clone.memory().own_bytes for clone in clones)
        found = Sharing(count, pool_bytes(), own, before - _free_dram())
        for clone in clones:
            clone.close()
        return found


def _free_dram() -> int:
    text = Path("/sys/devices/system/node/node0/meminfo").read_text()
    (line,) = [line for line in text.splitlines() if " MemFree:" in line]
    return int(line.split()[3]) << 10


def measure(spec: ForkSpec) -> ForkResult:
    """Do all that the spec says. RunError says what failed."""
    FOLDER.mkdir(exist_ok=True)
    shutil.copy(BENCH / "guest" / PROGRAM.name, PROGRAM)
    shutil.copy(BENCH / "functions" / f"{spec.function}.py", FOLDER)
    fork_criu.adopt_orphans()
    fork_criu.warm_up()
    ways = Ways(spec, ForkDaemon())
    ways.warm_up()
    ways.take_images()
    with ModelledClock() as clock:
        measurement = Measurement(spec, ways, clock)
        measurement.run()
    result = ForkResult(
        spec=spec,
        kernel_release=platform.release(),
        starts=measurement.starts,
        sharing=measurement.sharing,
        image_bytes=ways.image_bytes,
        images_ns=ways.images_ns,
        criu_bytes=ways.criu_bytes,
    )
    ways.close()
    return result


def main() -> None:
    """Read the spec, measure, write the result; one line on stderr and status 1 on failure."""
    spec = ForkSpec.from_json(Path(sys.argv[1]).read_text())
    try:
        result = measure(spec)
    except (RunError, TiermemError) as error:
        sys.exit(f"{spec.name}: {error}")
    Path(sys.argv[2]).write_text(result.to_json())


if __name__ == "__main__":
    main()
