"""A guest to measure in: one vCPU, exact time, the hardware model loaded but idle."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.errors import TiermemError
from tiermem.testbed import Guest, boot, load_topology

from bench.catalog import CXL, DRAM
from bench.guest.spec import RunResult, RunSpec

RUN_TIMEOUT_S = 1800.0
PAC_HEADER_BYTES = 4096
GUEST_OUT = "/opt/tiermem/out"
# The checkout is read-only in the guest; without this every start compiles it anew.
COMPILED = "/var/tmp/bench-pycache"


class BenchError(TiermemError):
    """Something could not be measured; the text says what."""


def ask(
    guest: Guest,
    folder: Path,
    module: str,
    spec: str,
    *,
    name: str,
    env: Mapping[str, str],
    timeout_s: float,
) -> str:
    """What a module of bench.guest answers to a spec, both JSON text; they go by way of
    `folder`, which the guest shares, in files of that name. BenchError with what it said
    where it fails."""
    answer = folder / f"{name}.result.json"
    answer.unlink(missing_ok=True)
    (folder / f"{name}.spec.json").write_text(spec)
    files = [f"{GUEST_OUT}/{name}.{kind}.json" for kind in ("spec", "result")]
    command = ["python3", "-m", f"bench.guest.{module}", *files]
    done = guest.exec(command, timeout_s=timeout_s, env=env)
    if done.status != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise BenchError(said or f"{module} ended with status {done.status} and said nothing")
    return answer.read_text()


@dataclass(frozen=True)
class Measured:
    """A run's result, the host's seconds it took, and PAC's reads a page meanwhile.

    pac: shape (pages,), reads of each 4 KiB page frame during the whole run; None
    unless it was asked for.
    """

    result: RunResult
    wall_s: float
    pac: npt.NDArray[np.uint64] | None = None


class Session:
    """A booted guest with modules loaded, ready for runs one after the other."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest = guest
        self.folder = folder
        self._preloaded = False

    def prepare(self) -> None:
        """Load the kernel modules and stop services that would only make noise."""
        script = (
            "for ko in /opt/tiermem/artifacts/modules/$(uname -r)/*.ko; do "
            'test -d "/sys/module/$(basename "$ko" .ko)" || insmod "$ko" || exit 1; done; '
            "systemctl stop '*.timer' redis-server memcached 2>/dev/null; "
            "test -c /dev/tiermem_hpt0 && test -c /dev/tiermem_promote"
        )
        self.guest.check(["bash", "-c", script], timeout_s=300)

    def attach_probe(self) -> None:
        """Have the kernel's tiering costs counted from now on; takes a while."""
        self._serve("kernel_cost")

    def preload_daemon(self) -> None:
        """Have a process ready that starts the daemon at once."""
        self._serve("preloaded")

    def _serve(self, module: str) -> None:
        """Start a helper of bench.guest as a service and wait for its socket.

        Its memory, and that of what it forks, lies in the CXL node: on a machine of
        full size a daemon's 60 MB are nothing, of this small DRAM node a third.
        """
        name = f"bench-{module.replace('_', '-')}"
        script = (
            f"systemd-run --quiet --unit={name} --working-directory=/root "
            "--setenv=PYTHONPATH=/opt/tiermem/src:/opt/tiermem/src/userspace "
            "--setenv=TIERMEM_NATIVE_PATH=/opt/tiermem/artifacts/native "
            f"--setenv=PYTHONPYCACHEPREFIX={COMPILED} --setenv=HOME=/root "
            f"numactl --preferred=1 python3 -m bench.guest.{module}; "
            f"until test -S /run/{name}.sock; do "
            f"systemctl is-active --quiet {name} || exit 1; sleep 0.5; done"
        )
        done = self.guest.exec(["bash", "-c", script], timeout_s=RUN_TIMEOUT_S)
        if done.status != 0:
            log = self.guest.exec(["journalctl", "-u", name, "-n", "5", "-o", "cat"])
            raise BenchError(f"{name} does not run: {log.stdout.strip() or done.stderr}")

    def run(self, spec: RunSpec, *, with_pac: bool = False) -> Measured:
        """Do one run. BenchError naming workload and policy when it fails."""
        if spec.m5_config and not self._preloaded:
            self.preload_daemon()
            self._preloaded = True
        # Guests share the folder; within a campaign no two runs have the same name.
        name = f"{spec.workload}-{spec.policy}-{spec.seed}-{spec.purpose}"
        before = self._pac() if with_pac else None
        begin = time.monotonic()
        env = {"PYTHONPATH": "/opt/tiermem/src", "PYTHONPYCACHEPREFIX": COMPILED}
        try:
            result = ask(
                self.guest,
                self.folder,
                "run",
                spec.to_json(),
                name=name,
                env=env,
                timeout_s=RUN_TIMEOUT_S,
            )
        except BenchError as error:
            what = f"{spec.workload} under {spec.policy} (seed {spec.seed})"
            raise BenchError(f"{what}: {error}") from None
        counted = None if before is None else self._pac() - before
        return Measured(RunResult.from_json(result), time.monotonic() - begin, counted)

    def _pac(self) -> npt.NDArray[np.uint64]:
        return np.fromfile(self.guest.pac_path, dtype="<u8", offset=PAC_HEADER_BYTES)


@contextmanager
def session(folder: Path, *, probe: bool = False) -> Iterator[Session]:
    """Boot a guest that shares `folder` and prepare it; it ends with the block.

    probe: count what tiering costs in the kernel, in every context.
    """
    topology = load_topology("one-host", cpus=1, dram=DRAM, cxl=CXL)
    with boot(topology, time="icount", plugin=True, out_dir=folder) as pod:
        opened = Session(pod["a"], folder)
        opened.prepare()
        if probe:
            opened.attach_probe()
        yield opened
