"""The QEMU CXL testbed: real cxl-type3 memory under an unmodified kernel, without hardware.

with boot(load_topology("one-host", dram="768M")) as pod:
    print(pod["a"].check(["numactl", "--hardware"]).stdout)
"""

from tiermem.testbed.guest import Completed, Guest
from tiermem.testbed.pod import Pod, boot
from tiermem.testbed.topology import Topology, load_topology

__all__ = ["Completed", "Guest", "Pod", "Topology", "boot", "load_topology"]
