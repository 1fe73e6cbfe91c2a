"""The Ethernet segment that NICs of a pod's hosts are on: a hub, in a QEMU without a machine.

It is nobody's host, so that what is left of a pod still has it when a host dies, and only
sockets in the pod's folder, so that no network of this machine is touched.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tiermem.testbed.options import escape


@dataclasses.dataclass(frozen=True)
class Cable:
    """Two sockets for datagrams, each a frame: one end's own, and the other end's."""

    own: Path
    peer: Path

    def netdev(self, name: str) -> list[str]:
        """QEMU's arguments for the end that `own` is of."""
        ends = f"local.type=unix,local.path={escape(self.own)}"
        ends += f",remote.type=unix,remote.path={escape(self.peer)}"
        return ["-netdev", f"dgram,id={name},{ends}"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A hub with so many ports, whose sockets are in that folder."""

    folder: Path
    ports: int

    @property
    def log(self) -> Path:
        """What its QEMU says."""
        return self.folder / "segment.log"

    def cable(self, port: int) -> Cable:
        """For the NIC at that port."""
        return Cable(self.folder / f"nic{port}.sock", self.folder / f"port{port}.sock")

    def arguments(self) -> list[str]:
        """QEMU's arguments, without the program."""
        words = ["-nodefaults", "-no-user-config", "-display", "none", "-M", "none"]
        for port in range(self.ports):
            cable = self.cable(port)
            words += Cable(cable.peer, cable.own).netdev(f"cable{port}")
            words += ["-netdev", f"hubport,id=port{port},hubid=0,netdev=cable{port}"]
        return words
