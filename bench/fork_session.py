"""The guest of `bench.fork`: CXL memory that is a pool and a file system, cxlforkd, CRIU.

Half of the CXL device is the pool (/dev/dax0.0). The other half is a memory node without
CPUs, and a tmpfs bound to it holds CRIU's files: they lie in CXL memory, and reading and
writing them is charged by the hardware model as the pool is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiermem.testbed import Guest, boot, load_topology
from tiermem.testbed.guest_python import COMPILED

from bench.guest.fork_spec import ForkResult, ForkSpec
from bench.session import ask

DRAM, CXL = "4G", "2G"
POOL = "/dev/dax0.0"
SPEC_TIMEOUT_S = 3600.0
# The daemon looks at the pool, and makes ghosts, so seldom that it does so while nothing
# is measured: `bench.guest.fork_ways` waits for it to have looked just now.
DAEMON_SETTINGS = ("ghosts=1", "scan_s=10")
# Cgroups for ghosts, as its unit has it; and, since there is one CPU, what the daemon notes
# after a restore waits until the restored process does.
UNIT = ("Delegate=yes", "DelegateSubgroup=daemon", "CPUSchedulingPolicy=batch")
# The guest's own copies: while it waits for the host's files its clock leaps.
COPY = "/run/tiermem-bench"
ENVIRONMENT = {
    "PYTHONPATH": COPY,
    "TIERMEM_NATIVE_PATH": f"{COPY}/native",
    "PYTHONPYCACHEPREFIX": COMPILED,
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
mkdir -p /run/files-in-dram /run/files-in-cxl {COPY}
cp -r /opt/tiermem/src/userspace/tiermem {COPY}/
cd /opt/tiermem/src
cp -r --parents bench/*.py bench/guest bench/functions {COPY}/
cp -r /opt/tiermem/artifacts/native {COPY}/native
mount -t tmpfs -o mpol=bind:0,size=900M tmpfs /run/files-in-dram
mount -t tmpfs -o mpol=bind:1,size=900M tmpfs /run/files-in-cxl
tiermem pool create {POOL} --hosts 1 --entries 32 --lease 60 --force
"""


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
        unit = [f"--property={one}" for one in UNIT]
        run = ["systemd-run", "--quiet", "--unit=fork", *unit, *variables]
        run += ["python3", "-c", "from tiermem.cli.main import main; main()", "fork", "run"]
        self.guest.check([*run, *settings], timeout_s=120)
        ready = (
            "until tiermem fork status > /dev/null 2>&1; do "
            "systemctl is-active --quiet fork || { journalctl -u fork -o cat >&2; exit 1; }; "
            "sleep 0.5; done"
        )
        self.guest.check(["bash", "-c", ready], timeout_s=600)

    def ask(self, module: str, spec: str, *, name: str, env: Mapping[str, str]) -> str:
        """See bench.session."""
        return ask(
            self.guest, self._folder, module, spec, name=name, env=env, timeout_s=SPEC_TIMEOUT_S
        )

    def run(self, spec: ForkSpec) -> Measured:
        """Measure one spec. BenchError."""
        begin = time.monotonic()
        found = self.ask("fork", spec.to_json(), name=f"fork-{spec.name}", env=ENVIRONMENT)
        return Measured(ForkResult.from_json(found), time.monotonic() - begin)


@contextmanager
def fork_session(folder: Path) -> Iterator[ForkSession]:
    """Boot a guest that shares `folder` and prepare it; it ends with the block."""
    topology = load_topology("one-host", cpus=1, dram=DRAM, cxl=CXL, cxl_use="devdax")
    with boot(topology, time="icount", plugin=True, out_dir=folder) as pod:
        opened = ForkSession(pod["a"], folder)
        opened.prepare()
        yield opened
