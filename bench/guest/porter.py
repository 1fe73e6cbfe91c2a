"""The porter under load, in the guest: `python3 -m bench.guest.porter SPEC.json RESULT.json`.

Of each function one instance is started cold and called until it is warm; CXLfork and CRIU
both take their image of it. Then the same load goes to one porter after the other, each
without any instance at first. Daemon and porters are forked from this process, which has
imported what they need: start-up is in no figure.

Times are modelled time. Memory is what the kernel charges to one cgroup that holds
everything a porter works with: itself, its instances, cxlforkd, clones and ghosts. Memory
of the pool is not charged to anybody.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tiermem.cxlfork.porter.criu import CriuImages
from tiermem.cxlfork.porter.functions import FunctionSettings, PorterSettings
from tiermem.cxlfork.porter.images import ForkImages, Images
from tiermem.cxlfork.porter.instance import start_cold
from tiermem.cxlfork.porter.service import Porter
from tiermem.cxlfork.restoring.cgroups import DAEMON_GROUP
from tiermem.cxlfork.serve import serve
from tiermem.cxlfork.settings import ForkSettings
from tiermem.errors import TiermemError
from tiermem.layer.pool import create_pool, open_pool
from tiermem.service.lifecycle import run_until_signalled

from bench.guest import kernel
from bench.guest.modelled_clock import ModelledClock
from bench.guest.open_loop import OpenLoop
from bench.guest.porter_spec import AMPLE, PorterResult, PorterRun, PorterSpec
from bench.guest.processes import RunError
from bench.guest.run import cxl_range

FUNCTIONS = Path(__file__).parents[1] / "functions"
FOLDER = Path("/run/porter-bench")
"""Sockets, state and logs; made anew."""
POOL = Path("/dev/dax0.0")
SOCKET = FOLDER / "fork.sock"
PORT = 8470
CALL_TIMEOUT_S = 600.0
"""Of the guest's clock, which leaps; nothing should fail by it."""
AMPLE_MIB = 1 << 14
GROUP = Path("/sys/fs/cgroup/porter-bench")
"""What the parts take is counted here; each is in one below it."""


def functions(spec: PorterSpec) -> dict[str, FunctionSettings]:
    """As the porter's config has them."""
    return {
        name: FunctionSettings(
            file=FUNCTIONS / one.file,
            timeout_s=CALL_TIMEOUT_S,
            instances_max=spec.instances_max,
        )
        for name, one in spec.functions.items()
    }


def make_group() -> None:
    """The cgroup of all parts, with memory counted in those below it."""
    GROUP.mkdir(exist_ok=True)
    for folder in (GROUP.parent, GROUP):
        (folder / "cgroup.subtree_control").write_text("+memory")


@contextmanager
def forked(body: Callable[[], None], part: str, log: str) -> Iterator[int]:
    """A child that runs `body` in the cgroup of that part, told to end after the block."""
    group = GROUP / part
    group.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        (group / "cgroup.procs").write_text("0")
        sink = os.open(FOLDER / log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        try:
            body()
        except TiermemError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(0)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def wait_for(is_so: Callable[[], bool], child: int, log: str) -> None:
    """Until it is so. RunError where the child ends before."""
    while not is_so():
        if os.waitpid(child, os.WNOHANG)[0]:
            text = (FOLDER / log).read_text(errors="replace")
            raise RunError(f"{log}: ended: {text[-1000:]}")
        time.sleep(0.05)


def listens(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether somebody does, there."""
    with socket.socket(family) as one:
        return one.connect_ex(address) == 0


@contextmanager
def fork_daemon(ghosts: int) -> Iterator[None]:
    """cxlforkd over an empty pool, with so many ghosts kept ready."""
    create_pool(POOL, hosts=1, lease_s=600, force=True)
    settings = ForkSettings(
        socket=SOCKET,
        state_file=FOLDER / "fork.jsonl",
        pool=POOL,
        ghosts=ghosts,
        scan_s=0.25,
        end_clones_at_exit=True,
    )
    with forked(lambda: serve(settings), DAEMON_GROUP, "fork.log") as child:
        wait_for(lambda: listens(socket.AF_UNIX, str(SOCKET)), child, "fork.log")
        yield


async def prepare(spec: PorterSpec, images: list[Images]) -> None:
    """Take every function's image in every way, of one warm instance."""
    for name, settings in functions(spec).items():
        event = spec.functions[name].parsed_event
        instance = await start_cold(settings.file, CALL_TIMEOUT_S)
        try:
            for number in range(1, spec.warm_calls + 1):
                await instance.call(event, CALL_TIMEOUT_S)
                if number == spec.warm_calls // 2:
                    Path(f"/proc/{instance.pid}/clear_refs").write_text("1")
            for one in images:
                await one.take(name, instance.pid)
        finally:
            instance.close()


class Peak:
    """The most that the parts had at once since this was made, over what they had then."""

    def __init__(self) -> None:
        # What is written to memory.peak resets it for this descriptor (cgroup-v2.rst).
        self._file = (GROUP / "memory.peak").open("r+")
        self._file.write("reset\n")
        self._file.flush()
        self._before_bytes = int((GROUP / "memory.current").read_text())

    def close(self) -> int:
        """So many bytes."""
        with self._file:
            self._file.seek(0)
            return int(self._file.read()) - self._before_bytes


class Bench:
    """The runs, one after the other."""

    def __init__(self, spec: PorterSpec, clock: ModelledClock) -> None:
        self.spec = spec
        self._clock = clock

    def settings(self, start: str, memory_mib: int) -> PorterSettings:
        """A porter's: images are there, and no new ones are taken."""
        return PorterSettings.model_validate(
            {
                "listen": f"127.0.0.1:{PORT}",
                "fork_socket": SOCKET,
                "start": start,
                "criu_folder": self.spec.criu_folder,
                "checkpoint_after": 1_000_000,
                "relearn_s": 1e9,
                "memory_MiB": memory_mib,
                "functions": functions(self.spec),
            }
        )

    def run(self, start: str, memory: str, memory_mib: int) -> PorterRun:
        """The load under one porter."""
        print(f"{start}, {memory} memory ...", file=sys.stderr, flush=True)
        settings = self.settings(start, memory_mib)
        log = f"{start}-{memory}.log"

        def now_ns() -> int:
            return self._clock.now().modelled_ns

        def serve_calls() -> None:
            run_until_signalled(Porter(settings).run())

        with forked(serve_calls, "porter", log) as child:
            wait_for(lambda: listens(socket.AF_INET, ("127.0.0.1", PORT)), child, log)
            events = {name: one.event for name, one in self.spec.functions.items()}
            peak = Peak()
            loop = OpenLoop(PORT, events, now_ns)
            with self._clock.armed(*cxl_range()):
                began = self._clock.now()
                calls = asyncio.run(loop.run(self.spec.arrivals_of(start, memory)))
                took = self._clock.now().since(began)
                peak_bytes = peak.close()
                began = self._clock.now()
                flood = asyncio.run(loop.run(self.spec.flood))
                flood_ns = self._clock.now().since(began).modelled_ns
        return PorterRun(
            start=start,
            memory=memory,
            memory_mib=memory_mib,
            calls=calls,
            elapsed_ns=took.modelled_ns,
            guest_ns=took.guest_ns,
            peak_local_bytes=peak_bytes,
            flood=flood,
            flood_ns=flood_ns,
        )


def measure(spec: PorterSpec) -> PorterResult:
    """All runs. The first one, CRIU's, says how much memory a quarter is."""
    kernel.write(kernel.HUGE_PAGES, "never")
    make_group()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    criu_folder = Path(spec.criu_folder)
    shutil.rmtree(criu_folder, ignore_errors=True)
    ghosts = len(spec.functions) * spec.instances_max
    with fork_daemon(ghosts), ModelledClock() as clock:
        ways: dict[str, Images] = {"restore": ForkImages(SOCKET), "criu": CriuImages(criu_folder)}
        used = {start for start, _ in spec.cases}
        asyncio.run(prepare(spec, [one for start, one in ways.items() if start in used]))
        gc.collect()
        gc.freeze()
        bench = Bench(spec, clock)
        runs: list[PorterRun] = []
        for start, memory in spec.cases:
            mib = AMPLE_MIB
            if memory != AMPLE:
                mib = max(16, runs[0].peak_local_bytes // 4 >> 20)
            runs.append(bench.run(start, memory, mib))
        with open_pool(POOL) as pool:
            in_pool = sum(entry.bytes for entry in pool.entries())
    in_files = sum(file.stat().st_size for file in criu_folder.rglob("*") if file.is_file())
    return PorterResult(platform.release(), runs, {"restore": in_pool, "criu": in_files})


def main() -> None:
    """Read the spec, run, write the result; one line on stderr and status 1 on failure."""
    spec = PorterSpec.from_json(Path(sys.argv[1]).read_text())
    try:
        result = measure(spec)
    except (RunError, TiermemError) as error:
        sys.exit(f"porter: {error}")
    Path(sys.argv[2]).write_text(result.to_json())


if __name__ == "__main__":
    main()
