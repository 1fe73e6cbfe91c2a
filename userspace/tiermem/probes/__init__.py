"""Questions asked of the running kernel by eBPF: migrations, hint faults, CPU cost, faults.

    with Probe("migration") as probe:
        before = probe.read()
        ...
        moved = probe.read().minus(before)

A room of its own, beside the layer and not inside it: the layer is what every
client imports and must work on any host, while probes need root, bcc, kernel
headers and a compiler, and answer questions about tiering as a whole that no
client asks. The arrows: cli, m5 and bench import probes; probes import nothing
of tiermem but its errors.

One question is one file in ebpf/ (what the kernel counts) and one module here
(what the counts mean); `registry` is their table of contents, `loader` the only
place that knows bcc.
"""

from tiermem.probes.probe import Probe
from tiermem.probes.registry import QUESTIONS

__all__ = ["QUESTIONS", "Probe"]
