"""Arenas: memory of a chosen tier for one client, handed out as buffers without a copy.

- `create`: making one; `arena`, `buffer`: what clients use; `copies`: in and out, in C;
- `memory`: what is behind one; `choice`, `room`: which nodes, and whether they have it;
- `emulation`: a tier that the host lacks; `hotness`: which pages are hot;
- `space`: which bytes are whose; `registry`: which arenas this host's processes have.
"""

from tiermem.layer.arena.arena import Arena
from tiermem.layer.arena.buffer import Buffer
from tiermem.layer.arena.create import create_arena, create_shared_arena, open_shared_arena
from tiermem.layer.arena.emulation import Emulation
from tiermem.layer.arena.hotness import HotFrames, HotnessSource, HotPages
from tiermem.layer.arena.registry import list_arenas

__all__ = [
    "Arena",
    "Buffer",
    "Emulation",
    "HotFrames",
    "HotPages",
    "HotnessSource",
    "create_arena",
    "create_shared_arena",
    "list_arenas",
    "open_shared_arena",
]
