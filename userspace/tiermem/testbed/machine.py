"""The QEMU command line of one host: what hardware a guest finds."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tiermem.testbed.image import Image
from tiermem.testbed.options import escape
from tiermem.testbed.segment import Cable
from tiermem.testbed.topology import Host

Time = Literal["wall", "icount"]

TRACKER_BAR_BYTES = 2 << 20

# Emulated, a string instruction is one instruction for each step it takes. With
# these features kernel and libc copy and clear pages byte by byte, 4096 steps
# where hardware takes about 100 cycles; without them, by words or vectors.
_NO_BYTE_STRINGS = "erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off"


@dataclasses.dataclass(frozen=True)
class Shares:
    """Host folders that the guest mounts under /opt/tiermem."""

    src: Path
    artifacts: Path
    out: Path
    exec: Path


@dataclasses.dataclass(frozen=True)
class Plugin:
    """The hardware model's plugin and its parameters (keys of defaults.toml)."""

    library: Path
    parameters: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Machine:
    """Everything that decides one guest's QEMU command line.

    run_dir: sockets, logs and the memory files of this guest.
    cxl_file: backing of CXL memory that is shared with other guests.
    network: a link to another guest.
    nics: those on the pod's segment, each at a cable of its own.
    number: the host's place in its topology, from 0.
    """

    name: str
    host: Host
    image: Image
    kernel: str
    time: Time
    run_dir: Path
    shares: Shares
    plugin: Plugin | None = None
    cxl_file: Path | None = None
    network: Cable | None = None
    nics: tuple[Cable, ...] = ()
    number: int = 0

    @property
    def serial_log(self) -> Path:
        """All that the guest's kernel wrote to its serial console."""
        return self.run_dir / "serial.log"

    @property
    def qemu_log(self) -> Path:
        """What QEMU itself says."""
        return self.run_dir / "qemu.log"

    @property
    def qmp_socket(self) -> Path:
        """QEMU's monitor."""
        return self.run_dir / "qmp.sock"

    @property
    def control_socket(self) -> Path:
        """QEMU's monitor again, for a process other than the one that booted."""
        return self.run_dir / "control.sock"

    @property
    def agent_socket(self) -> Path:
        """The guest agent."""
        return self.run_dir / "agent.sock"

    @property
    def console_socket(self) -> Path:
        """A root shell of the guest."""
        return self.run_dir / "console.sock"

    @property
    def bar_path(self) -> Path:
        """The file behind the tracker device's BAR."""
        return self.run_dir / "hpt.bar"

    @property
    def nvme_path(self) -> Path:
        """What the guest's NVMe drive holds, where it has one."""
        return self.run_dir / "nvme.img"

    @property
    def pac_path(self) -> Path:
        """Where the plugin keeps the exact counters."""
        return self.run_dir / "pac"

    def make_files(self) -> None:
        """Those behind its devices, all zeros and sparse, before QEMU starts."""
        sizes = {self.bar_path: TRACKER_BAR_BYTES}
        if self.host.nvme:
            sizes[self.nvme_path] = self.host.nvme
        for path, size in sizes.items():
            path.touch()
            os.truncate(path, size)

    def arguments(self) -> list[str]:
        """QEMU's arguments, without the program."""
        return [
            *self._base(),
            *self._cxl(),
            *self._disk(),
            *self._nvme(),
            *self._channels(),
            *self._shares(),
            *self._tracker(),
            *self._network(),
            *self._nics(),
        ]

    def _base(self) -> list[str]:
        time = ["-accel", "tcg,thread=multi"]
        if self.time == "icount":
            time = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
        kernel = self.image.kernels[self.kernel]
        return [
            *("-name", f"tiermem-{self.name}", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot"),
            "-machine",
            f"q35,sata=off,vmport=off,cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size={self.host.cxl}",
            *("-cpu", f"max,hypervisor=off,svm=off,{_NO_BYTE_STRINGS}"),
            *time,
            *("-smp", str(self.host.cpus), "-m", f"{self.host.dram >> 20}M"),
            # Without a table of nodes the kernel puts CXL memory into node 0.
            *("-object", f"memory-backend-ram,id=dram,size={self.host.dram}"),
            *("-numa", "node,nodeid=0,memdev=dram"),
            *("-kernel", str(kernel.vmlinuz), "-initrd", str(kernel.initrd)),
            *("-append", self._kernel_command_line()),
        ]

    def _kernel_command_line(self) -> str:
        machine_id = hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()
        return " ".join(
            [
                "console=ttyS0 TERM=dumb loglevel=5 oops=panic panic=-1 nowatchdog",
                "mitigations=off random.trust_cpu=on nokaslr tsc=reliable",
                f"systemd.machine_id={machine_id} systemd.hostname={self.name}",
                "systemd.show_status=false systemd.log_target=kmsg systemd.log_level=warning",
                "systemd.ssh_auto=no",
                f"tiermem.cxl={self.host.cxl_use}",
            ]
        )

    def _cxl(self) -> list[str]:
        size = self.host.cxl
        memory = f"memory-backend-ram,id=cxl-ram,share=on,size={size}"
        if self.cxl_file is not None:
            memory = f"memory-backend-file,id=cxl-ram,share=on,size={size}"
            memory += f",mem-path={escape(self.cxl_file)}"
        return [
            *("-object", memory),
            *("-device", "pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1"),
            *("-device", "cxl-rp,port=0,bus=cxl.1,id=cxl-port,chassis=0,slot=2"),
            "-device",
            f"cxl-type3,bus=cxl-port,volatile-memdev=cxl-ram,id=cxl-mem0,sn={self.number + 1}",
        ]

    def _disk(self) -> list[str]:
        drive = f"file={escape(self.image.disk)},format=raw,if=none,id=root,snapshot=on"
        drive += ",cache=unsafe"
        return ["-drive", drive, "-device", "virtio-blk-pci,drive=root,bus=pcie.0"]

    def _nvme(self) -> list[str]:
        if not self.host.nvme:
            return []
        # What the guest flushes outlives the guest; it need not outlive the host.
        drive = f"file={escape(self.nvme_path)},format=raw,if=none,id=nvme,cache=unsafe"
        device = f"nvme,drive=nvme,serial=tiermem-{self.name},bus=pcie.0"
        return ["-drive", f"{drive},discard=unmap", "-device", device]

    def _channels(self) -> list[str]:
        def server(name: str, path: Path) -> list[str]:
            return ["-chardev", f"socket,id={name},path={escape(path)},server=on,wait=off"]

        return [
            *("-chardev", f"file,id=serial,path={escape(self.serial_log)}"),
            *("-serial", "chardev:serial"),
            *("-qmp", f"unix:{escape(self.qmp_socket)},server=on,wait=off"),
            *("-qmp", f"unix:{escape(self.control_socket)},server=on,wait=off"),
            *("-device", "virtio-serial-pci,bus=pcie.0"),
            *server("agent", self.agent_socket),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *server("console", self.console_socket),
            *("-device", "virtconsole,chardev=console"),
            *("-device", "virtio-rng-pci,bus=pcie.0"),
        ]

    def _shares(self) -> list[str]:
        arguments = []
        for name, path, mode in (
            ("src", self.shares.src, ",readonly=on"),
            ("artifacts", self.shares.artifacts, ",readonly=on"),
            ("out", self.shares.out, ""),
            ("exec", self.shares.exec, ""),
        ):
            share = f"local,id={name},path={escape(path)},security_model=none{mode}"
            device = f"virtio-9p-pci,fsdev={name},mount_tag=tiermem-{name},bus=pcie.0"
            arguments += ["-fsdev", share, "-device", device]
        return arguments

    def _tracker(self) -> list[str]:
        bar = f"memory-backend-file,id=hpt,share=on,size={TRACKER_BAR_BYTES}"
        arguments = ["-object", f"{bar},mem-path={escape(self.bar_path)}"]
        arguments += ["-device", "ivshmem-plain,memdev=hpt,bus=pcie.0"]
        if self.plugin is not None:
            settings = {"bar": str(self.bar_path), "pac": str(self.pac_path)}
            settings |= self.plugin.parameters
            words = [f"{key}={escape(value)}" for key, value in settings.items()]
            arguments += ["-plugin", ",".join([escape(self.plugin.library), *words])]
        return arguments

    def _network(self) -> list[str]:
        if self.network is None:
            return []
        device = f"virtio-net-pci,netdev=net0,bus=pcie.0,mac={self._mac(0x77, 0)}"
        return [*self.network.netdev("net0"), "-device", f"{device},romfile="]

    def _nics(self) -> list[str]:
        words = []
        for number, cable in enumerate(self.nics):
            device = f"virtio-net-pci,id={nic_id(number)},netdev=cable{number},bus=pcie.0"
            device += f",mac={self._mac(0x78, number)},romfile="
            words += [*cable.netdev(f"cable{number}"), "-device", device]
        return words

    def _mac(self, network: int, nic: int) -> str:
        return f"52:54:00:{network:02x}:{nic:02x}:{self.number + 1:02x}"


def nic_id(number: int) -> str:
    """What QEMU's monitor calls a host's NIC on the segment."""
    return f"nic{number}"
