"""vAttention: KV that is contiguous in addresses and gets memory as tokens arrive.

- `vattention`: the interface; `allocator`: its rules, without memory; `ahead`: its thread;
- `layout`: which bytes are whose; `backend`, `groups`: what the allocator asks of memory;
- `layer_backend`, `sources`, `pieces`: new memory, files, the pool, arenas, by mmap;
- `cuda_backend`, `cuda_driver`: the memory of a GPU, by CUDA's virtual memory calls;
- `tensors`, `cache`: for torch, and a cache that transformers' models generate with.
"""

from tiermem.serving.vattention.ahead import Ahead
from tiermem.serving.vattention.layout import PAGE_GROUPS_BYTES, KvLayout
from tiermem.serving.vattention.sources import ArenaPages, FileRange, MemoryFile, PrivateMemory
from tiermem.serving.vattention.vattention import VAttention, init

__all__ = [
    "PAGE_GROUPS_BYTES",
    "Ahead",
    "ArenaPages",
    "FileRange",
    "KvLayout",
    "MemoryFile",
    "PrivateMemory",
    "VAttention",
    "init",
]
