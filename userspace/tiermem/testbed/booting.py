"""One boot of a topology: its QEMUs are started, waited for, started again and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import shutil
import subprocess
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tiermem.testbed.build import Testbed
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
from tiermem.testbed.qemu import start
from tiermem.testbed.run_control import RunControl
from tiermem.testbed.segment import Cable, Segment
from tiermem.testbed.serial import last_words
from tiermem.testbed.topology import Topology

Kernel = Literal["newest", "lts"]

_CONNECT_S = 20.0
_STOP_S = 60.0
_READY_S = 300.0
# No host can have that name.
_SEGMENT = "-segment"


@dataclasses.dataclass
class Booting:
    """One boot: starts the machines, waits for them, and stops whatever has started."""

    topology: Topology
    testbed: Testbed
    kernel: Kernel
    time: Time
    plugin: Plugin | None
    out_dir: Path | None
    run_dir: Path
    machines: dict[str, Machine] = dataclasses.field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = dataclasses.field(default_factory=dict)
    monitors: dict[str, Channel] = dataclasses.field(default_factory=dict)
    channels: list[Channel] = dataclasses.field(default_factory=list)
    guests: dict[str, Guest] = dataclasses.field(default_factory=dict)
    shared_cxl: int | None = None

    def boot(self, timeout_s: float) -> None:
        """Start all machines, then wait for each to be ready."""
        self._start_segment()
        self.machines = {name: self._machine(name) for name in self.topology.hosts}
        for machine in self.machines.values():
            self._start(machine)
        deadline = clock.monotonic() + timeout_s
        for name, machine in self.machines.items():
            self.guests[name] = self._ready_guest(machine, deadline)
        for number, guest in enumerate(self.guests.values()):
            self._prepare(number, guest)
        self._check_segment()

    def reboot(self, name: str, timeout_s: float) -> Guest:
        """End a host's QEMU and start it again."""
        process = self.processes[name]
        process.kill()
        process.wait(_STOP_S)
        self.guests[name].detach()
        self.monitors[name].close()
        machine = self.machines[name]
        self._start(machine)
        deadline = clock.monotonic() + timeout_s
        self.guests[name] = self._ready_guest(machine, deadline)
        self._prepare(machine.number, self.guests[name])
        return self.guests[name]

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
            os.close(self.shared_cxl)
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
            nics=self._nics_of(name),
            number=number,
        )

    def _out_folder(self, name: str) -> Path:
        if self.out_dir is None:
            return self.run_dir / name / "out"
        return self.out_dir.resolve() / (name if len(self.topology.hosts) > 1 else "")

    def _cxl_file(self) -> Path | None:
        """The memory that all hosts share: a file without a name, which cannot outlive them."""
        if not self.topology.shared_cxl:
            return None
        if self.shared_cxl is None:
            size = next(iter(self.topology.hosts.values())).cxl
            memory = Path("/dev/shm")
            fits = memory.is_dir() and shutil.disk_usage(memory).free > size
            file = (memory if fits else self.run_dir) / f"tiermem-cxl-{self.run_dir.name}"
            self.shared_cxl = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            file.unlink()
            os.truncate(self.shared_cxl, size)
        return Path(f"/proc/{os.getpid()}/fd/{self.shared_cxl}")

    def _network_of(self, number: int) -> Cable | None:
        if self.topology.network is None:
            return None
        return Cable(self.run_dir / f"net{number}.sock", self.run_dir / f"net{1 - number}.sock")

    @property
    def _segment(self) -> Segment:
        return Segment(self.run_dir, self.topology.nics)

    def _nics_of(self, name: str) -> tuple[Cable, ...]:
        """Ports are in the order of hosts."""
        hosts = list(self.topology.hosts)
        first = sum(self.topology.hosts[one].nics for one in hosts[: hosts.index(name)])
        return tuple(
            self._segment.cable(first + nic) for nic in range(self.topology.hosts[name].nics)
        )

    def _start_segment(self) -> None:
        if self.topology.nics:
            self._run(_SEGMENT, self._segment.arguments(), self._segment.log)

    def _check_segment(self) -> None:
        if self.topology.nics and self.processes[_SEGMENT].poll() is not None:
            said = self._segment.log.read_text(errors="replace").strip()
            raise BootError(f"the hub of the hosts' NICs did not start: {said}")

    def _start(self, machine: Machine) -> None:
        machine.make_files()
        self._run(machine.name, machine.arguments(), machine.qemu_log)
        self.monitors[machine.name] = self._connect_monitor(machine)

    def _run(self, name: str, arguments: list[str], log: Path) -> None:
        def start_and_keep() -> None:
            # Not returned: who waits for this may be interrupted, and then nobody would stop it.
            self.processes[name] = start(self.testbed.qemu, arguments, log)

        in_background(start_and_keep)

    def _connect_monitor(self, machine: Machine) -> Channel:
        name = machine.name
        monitor = Channel(f"{name}-qmp", machine.qmp_socket, agent=False)
        deadline = clock.monotonic() + _CONNECT_S
        while True:
            try:
                monitor.connect(_CONNECT_S)
                break
            except ChannelClosedError:
                if self.processes[name].poll() is not None or clock.monotonic() > deadline:
                    said = machine.qemu_log.read_text(errors="replace").strip()
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
        monitor = self.monitors[machine.name]
        running = RunControl(monitor, only_in_use=self.time == "icount")
        return Guest(files, agent, monitor, lambda: process.poll() is None, running)

    def _prepare(self, number: int, guest: Guest) -> None:
        with _as_boot_error(guest):
            _check_ready(guest)
            if self.topology.network is not None:
                _join_network(guest, self.topology.network.address_of(number))
            elif self.topology.hosts[guest.name].nics:
                guest.check(["modprobe", "virtio_net"])


def _join_network(guest: Guest, address: ipaddress.IPv4Interface) -> None:
    script = "modprobe virtio_net; link=$(ls /sys/class/net | grep -v lo); "
    script += f'ip link set "$link" up; ip address add {address} dev "$link"'
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
