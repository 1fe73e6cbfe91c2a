"""Booting a topology: `with boot(load_topology("one-host")) as pod: pod["a"].check([...])`."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import time as clock
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from tiermem.errors import ConfigError
from tiermem.testbed.artifacts import plugin_parameters as default_parameters
from tiermem.testbed.build import Testbed, build, default_checkout
from tiermem.testbed.channel import (
    Channel,
    ChannelClosedError,
    ChannelTimeoutError,
    in_background,
)
from tiermem.testbed.errors import (
    BootError,
    CommandFailedError,
    CommandTimeoutError,
    GuestCrashedError,
)
from tiermem.testbed.guest import Guest, GuestFiles
from tiermem.testbed.machine import Machine, Plugin, Shares, Time
from tiermem.testbed.progress import Progress
from tiermem.testbed.qemu import start
from tiermem.testbed.run_control import RunControl
from tiermem.testbed.run_dirs import new_run_dir
from tiermem.testbed.serial import last_words
from tiermem.testbed.topology import Topology

Kernel = Literal["newest", "lts"]

_CONNECT_S = 20.0
_STOP_S = 60.0
_READY_S = 300.0


class Pod(Mapping[str, Guest]):
    """The running guests of a topology, by host name."""

    def __init__(self, topology: Topology, run_dir: Path, guests: dict[str, Guest]) -> None:
        self.topology = topology
        self.run_dir = run_dir
        self._guests = guests

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
    booting = _Booting(topology, testbed, kernel, time, loaded, out_dir, run_dir)
    keep = False
    try:
        yield booting.boot(boot_timeout_s)
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


@dataclasses.dataclass
class _Booting:
    """One boot: starts the machines, waits for them, and stops whatever has started."""

    topology: Topology
    testbed: Testbed
    kernel: Kernel
    time: Time
    plugin: Plugin | None
    out_dir: Path | None
    run_dir: Path
    processes: dict[str, subprocess.Popen[bytes]] = dataclasses.field(default_factory=dict)
    monitors: dict[str, Channel] = dataclasses.field(default_factory=dict)
    channels: list[Channel] = dataclasses.field(default_factory=list)
    guests: dict[str, Guest] = dataclasses.field(default_factory=dict)
    shared_cxl: Path | None = None

    def boot(self, timeout_s: float) -> Pod:
        """Start all machines, then wait for each to be ready."""
        machines = {name: self._machine(name) for name in self.topology.hosts}
        for name, machine in machines.items():
            self._start(name, machine)
        if self.shared_cxl is not None:
            # Every QEMU has it open now; without a name it cannot outlive them.
            self.shared_cxl.unlink()
        deadline = clock.monotonic() + timeout_s
        for name, machine in machines.items():
            self.guests[name] = self._ready_guest(machine, deadline)
        for number, guest in enumerate(self.guests.values()):
            with _as_boot_error(guest):
                _check_ready(guest)
                self._join_network(number, guest)
        return Pod(self.topology, self.run_dir, self.guests)

    def stop(self) -> bool:
        """End every QEMU: quit by a kill, since guests hold nothing worth saving.

        Whether one had ended by itself or a guest hung, so that its log is worth keeping.
        """
        # Asked in the background, where a start that was interrupted is over by then.
        processes = in_background(lambda: list(self.processes.values()))
        failed = any(process.poll() is not None for process in processes)
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(_STOP_S)
        for channel in self.channels:
            channel.close()
        if self.shared_cxl is not None:
            self.shared_cxl.unlink(missing_ok=True)
        return failed or any(guest.hung for guest in self.guests.values())

    def _machine(self, name: str) -> Machine:
        folder = self.run_dir / name
        shares = Shares(
            self.testbed.checkout, folder / "artifacts", self._out_folder(name), folder / "exec"
        )
        for path in (shares.artifacts, shares.out, shares.exec):
            path.mkdir(parents=True, exist_ok=True)
        self.testbed.artifacts.install(shares.artifacts)
        number = list(self.topology.hosts).index(name)
        return Machine(
            name=name,
            host=self.topology.hosts[name],
            image=self.testbed.image,
            kernel=self.kernel,
            time=self.time,
            run_dir=folder,
            shares=shares,
            plugin=self.plugin,
            cxl_file=self._cxl_file(),
            network=self._network_of(number),
            number=number,
        )

    def _out_folder(self, name: str) -> Path:
        if self.out_dir is None:
            return self.run_dir / name / "out"
        return self.out_dir.resolve() / (name if len(self.topology.hosts) > 1 else "")

    def _cxl_file(self) -> Path | None:
        if not self.topology.shared_cxl:
            return None
        if self.shared_cxl is None:
            size = next(iter(self.topology.hosts.values())).cxl
            memory = Path("/dev/shm")
            fits = memory.is_dir() and shutil.disk_usage(memory).free > size
            folder = memory if fits else self.run_dir
            self.shared_cxl = folder / f"tiermem-cxl-{self.run_dir.name}"
        return self.shared_cxl

    def _network_of(self, number: int) -> tuple[Path, Path] | None:
        if self.topology.network is None:
            return None
        return self.run_dir / f"net{number}.sock", self.run_dir / f"net{1 - number}.sock"

    def _start(self, name: str, machine: Machine) -> None:
        machine.make_files()
        log = machine.run_dir / "qemu.log"
        arguments = machine.arguments()

        def start_and_keep() -> None:
            # Not returned: who waits for this may be interrupted, and then nobody would stop it.
            self.processes[name] = start(self.testbed.qemu, arguments, log)

        in_background(start_and_keep)
        self.monitors[name] = self._connect_monitor(name, machine)

    def _connect_monitor(self, name: str, machine: Machine) -> Channel:
        monitor = Channel(f"{name}-qmp", machine.qmp_socket, agent=False)
        deadline = clock.monotonic() + _CONNECT_S
        while True:
            try:
                monitor.connect(_CONNECT_S)
                break
            except ChannelClosedError:
                if self.processes[name].poll() is not None or clock.monotonic() > deadline:
                    said = (machine.run_dir / "qemu.log").read_text(errors="replace").strip()
                    raise BootError(f"guest {name}: QEMU did not start: {said}") from None
            clock.sleep(0.05)
        self.channels.append(monitor)
        return monitor

    def _ready_guest(self, machine: Machine, deadline: float) -> Guest:
        agent = Channel(f"{machine.name}-agent", machine.agent_socket, agent=True)
        process = self.processes[machine.name]
        remaining = max(1.0, deadline - clock.monotonic())
        try:
            agent.connect(_CONNECT_S)
            self.channels.append(agent)
            agent.execute("guest-sync", {"id": machine.number + 1}, timeout_s=remaining)
        except ChannelClosedError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            words = last_words(machine.serial_log)
            raise GuestCrashedError(machine.name, f"boot: {words}", machine.serial_log) from error
        except ChannelTimeoutError as error:
            raise BootError(
                f"guest {machine.name}: not ready after {remaining:.0f} s; "
                f"serial log: {machine.serial_log}"
            ) from error
        files = GuestFiles(
            machine.name,
            machine.serial_log,
            machine.agent_socket,
            machine.control_socket,
            machine.console_socket,
            machine.shares.exec,
            machine.shares.out,
            machine.bar_path,
            machine.pac_path,
        )
        running = RunControl(self.monitors[machine.name], only_in_use=self.time == "icount")
        return Guest(files, agent, lambda: process.poll() is None, running)

    def _join_network(self, number: int, guest: Guest) -> None:
        network = self.topology.network
        if network is None:
            return
        script = "modprobe virtio_net; link=$(ls /sys/class/net | grep -v lo); "
        script += 'ip link set "$link" up; '
        script += f'ip address add {network.address_of(number)} dev "$link"'
        guest.check(["sh", "-ec", script])


@contextlib.contextmanager
def _as_boot_error(guest: Guest) -> Iterator[None]:
    """A command of the boot that fails or takes too long means that the boot failed."""
    try:
        yield
    except (CommandFailedError, CommandTimeoutError) as error:
        raise BootError(f"{error}; serial log: {guest.serial_log}") from error


def _check_ready(guest: Guest) -> None:
    """Every unit of the guest has started; BootError names those that have not."""
    state = guest.exec(["systemctl", "is-system-running", "--wait"], timeout_s=_READY_S)
    if state.stdout.strip() != "running":
        failed = guest.exec(["systemctl", "--failed", "--plain", "--no-legend"]).stdout.split("\n")
        names = ", ".join(line.split()[0] for line in failed if line.strip())
        raise BootError(
            f"guest {guest.name}: {state.stdout.strip()}: {names}; serial log: {guest.serial_log}"
        )
