"""The net engine: instances of one host send and receive through the NIC of another.

A *frontend* (the instances' host) and a *backend* (the NIC's) share a *link*: two
channels of messages and two rings of frames, in memory without coherence across hosts
(native/net_link.h). The frames' way is C, one thread a side; here is what sets it up.

- `tap`: an instance's interface; `namespace`: where it and the NIC are;
- `link`: the memory that both sides share;
- `frontend`, `backend`: the two sides; `pace`: how long they spin and sleep; `counters`.
"""

from tiermem.oasis.net.backend import Backend, BackendSettings
from tiermem.oasis.net.counters import Counters
from tiermem.oasis.net.frontend import Frontend, InstanceState, Peer, Watch
from tiermem.oasis.net.link import LinkSize, Memory, make_link
from tiermem.oasis.net.pace import Pace
from tiermem.oasis.net.tap import Tap, TapSettings

__all__ = [
    "Backend",
    "BackendSettings",
    "Counters",
    "Frontend",
    "InstanceState",
    "LinkSize",
    "Memory",
    "Pace",
    "Peer",
    "Tap",
    "TapSettings",
    "Watch",
    "make_link",
]
