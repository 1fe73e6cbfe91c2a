"""The guest of `bench.fork`: CXL memory that is a pool and a file system, cxlforkd, CRIU.

Half of the CXL device is the pool (/dev/dax0.0). The other half is a memory node without
CPUs, and a tmpfs bound to it holds CRIU's files: they lie in CXL memory, and reading and
writing them is charged by the hardware model as the pool is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.testbed import Guest, boot, load_topology

from bench.guest.fork_spec import ForkResult, ForkSpec

DRAM, CXL = "2G", "2G"
POOL = "/dev/dax0.0"
GUEST_OUT = "/opt/tiermem/out"
SPEC_TIMEOUT_S = 3600.0
# The daemon looks at the pool, and makes ghosts, so seldom that it does so while nothing
# is measured: `bench.guest.fork_ways` waits for it to have looked just now.
DAEMON_SETTINGS = ("ghosts=1", "scan_s=10", "lease_s=60")
ENVIRONMENT = {
    "PYTHONPATH": "/opt/tiermem/src:/opt/tiermem/src/userspace",
    "TIERMEM_NATIVE_PATH": "/opt/tiermem/artifacts/native",
    "PYTHONPYCACHEPREFIX": "/var/cache/tiermem-pycache",
}
_PREPARE = f"""
set -e
for ko in /opt/tiermem/artifacts/modules/$(uname -r)/*.ko; do
    test -d "/sys/module/$(basename "$ko" .ko)" || insmod "$ko"
done
systemctl stop '*.timer' redis-server memcached 2> /dev/null || true
cd /sys/bus/dax
half=$(($(cat devices/dax0.0/size) / 2))
echo dax0.0 > drivers/device_dax/unbind
echo $half > devices/dax0.0/size
echo dax0.0 > drivers/device_dax/bind
echo 1 > "$(readlink -f devices/dax0.0)/../dax_region/create"
echo $half > devices/dax0.1/size
modprobe kmem
echo online_movable > /sys/devices/system/memory/auto_online_blocks
echo dax0.1 > drivers/kmem/new_id
mkdir -p /run/files-in-dram /run/files-in-cxl
mount -t tmpfs -o mpol=bind:0,size=900M tmpfs /run/files-in-dram
mount -t tmpfs -o mpol=bind:1,size=900M tmpfs /run/files-in-cxl
tiermem pool create {POOL} --hosts 1 --entries 32 --force
"""


class ForkBenchError(TiermemError):
    """Something could not be measured; the text says what."""


@dataclass(frozen=True)
class Measured:
    """What was found for one spec, and the host's seconds that it took."""

    result: ForkResult
    wall_s: float


class ForkSession:
    """A booted guest, ready for specs one after the other."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest, self._folder = guest, folder

    def prepare(self) -> None:
        """See the module."""
        self.guest.check(["bash", "-c", _PREPARE], timeout_s=600)
        settings = [f"--set={one}" for one in (f"pool={POOL}", *DAEMON_SETTINGS)]
        variables = [f"--setenv={key}={value}" for key, value in ENVIRONMENT.items()]
        run = ["systemd-run", "--quiet", "--unit=fork", *variables, "tiermem", "fork", "run"]
        self.guest.check([*run, *settings], timeout_s=120)
        ready = (
            "until tiermem fork status > /dev/null 2>&1; do "
            "systemctl is-active --quiet fork || { journalctl -u fork -o cat >&2; exit 1; }; "
            "sleep 0.5; done"
        )
        self.guest.check(["bash", "-c", ready], timeout_s=600)

    def run(self, spec: ForkSpec) -> Measured:
        """Measure one spec. ForkBenchError naming it where that fails."""
        answer = self._folder / f"fork-{spec.name}.result.json"
        answer.unlink(missing_ok=True)
        (self._folder / f"fork-{spec.name}.spec.json").write_text(spec.to_json())
        files = [f"{GUEST_OUT}/fork-{spec.name}.{kind}.json" for kind in ("spec", "result")]
        begin = time.monotonic()
        done = self.guest.exec(
            ["python3", "-m", "bench.guest.fork", *files],
            timeout_s=SPEC_TIMEOUT_S,
            env=ENVIRONMENT,
        )
        if done.status != 0:
            raise ForkBenchError((done.stderr or done.stdout).strip()[-2000:])
        return Measured(ForkResult.from_json(answer.read_text()), time.monotonic() - begin)


@contextmanager
def fork_session(folder: Path) -> Iterator[ForkSession]:
    """Boot a guest that shares `folder` and prepare it; it ends with the block."""
    topology = load_topology("one-host", cpus=1, dram=DRAM, cxl=CXL, cxl_use="devdax")
    with boot(topology, time="icount", plugin=True, out_dir=folder) as pod:
        opened = ForkSession(pod["a"], folder)
        opened.prepare()
        yield opened
