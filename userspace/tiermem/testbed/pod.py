"""Booting a topology: `with boot(load_topology("one-host")) as pod: pod["a"].check([...])`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiermem.errors import ConfigError
from tiermem.testbed.artifacts import plugin_parameters as default_parameters
from tiermem.testbed.booting import Booting, Kernel
from tiermem.testbed.build import Testbed, build, default_checkout
from tiermem.testbed.errors import BootError, GuestCrashedError
from tiermem.testbed.guest import Guest
from tiermem.testbed.machine import Plugin, Time
from tiermem.testbed.progress import Progress
from tiermem.testbed.run_dirs import new_run_dir
from tiermem.testbed.topology import Topology


class Pod(Mapping[str, Guest]):
    """The running guests of a topology, by host name."""

    def __init__(self, booting: Booting) -> None:
        self.topology = booting.topology
        self.run_dir = booting.run_dir
        self._guests = booting.guests
        self._booting = booting

    def reboot(self, name: str, timeout_s: float = 600.0) -> Guest:
        """Cut a host's power, where it still has any, and boot it again.

        The others go on. What its NVMe drive was told to flush is there, and the shared CXL
        memory as it was. The guest that it was before can be used no more. Raises as `boot`.
        """
        return self._booting.reboot(name, timeout_s)

    def __getitem__(self, name: str) -> Guest:
        return self._guests[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._guests)

    def __len__(self) -> int:
        return len(self._guests)


@contextlib.contextmanager
def boot(
    topology: Topology,
    *,
    kernel: Kernel = "newest",
    time: Time = "wall",
    plugin: bool = False,
    plugin_parameters: Mapping[str, object] | None = None,
    out_dir: Path | None = None,
    checkout: Path | None = None,
    boot_timeout_s: float = 600.0,
    progress: Progress | None = None,
) -> Iterator[Pod]:
    """Boot a topology, wait until its guests are ready, and stop them at the end.

    time "icount" counts 1 ns an instruction and allows one CPU a host. plugin loads the
    hardware model (idle); plugin_parameters change its defaults. Guests share
    out_dir (with several hosts: a folder in it by host name) as /opt/tiermem/out; left
    out, it is a folder that ends with the pod. An icount guest runs only while a command
    of `exec` does: whatever that leaves in the background stands still. BootError or
    GuestCrashedError, naming the serial log, if a guest does not come up. The log is kept
    then, and also where a guest died or hung before the pod's end, whoever learned of it.
    """
    if time == "icount" and any(host.cpus > 1 for host in topology.hosts.values()):
        raise ConfigError('time "icount" needs cpus = 1: one instruction stream, one clock')
    testbed = build(progress or Progress(), checkout or default_checkout(), plugin=plugin)
    loaded = _plugin(testbed, plugin_parameters or {}) if plugin else None
    run_dir = new_run_dir()
    booting = Booting(topology, testbed, kernel, time, loaded, out_dir, run_dir)
    keep = False
    try:
        booting.boot(boot_timeout_s)
        yield Pod(booting)
    except (BootError, GuestCrashedError):
        keep = True
        raise
    finally:
        keep = booting.stop() or keep
        if not keep:
            shutil.rmtree(run_dir, ignore_errors=True)


def _plugin(testbed: Testbed, changes: Mapping[str, object]) -> Plugin:
    library = testbed.artifacts.plugin
    if library is None:
        raise ConfigError(f"no hardware model: {testbed.checkout}/fpga_models has no Makefile")
    return Plugin(library, default_parameters(testbed.checkout, dict(changes)))
