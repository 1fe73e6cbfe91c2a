"""The shared pool: named, checksummed extents in memory that hosts share without coherence.

- `create`: making one; `pool`: what clients use;
- `extent`: an extent being filled, and one held to be read; `area`: one that is written to;
- `directory`: the protocol's calls (native/pool.h), typed;
- `leases`: who lives; `local`: what one host's processes agree on; `mapping`: the memory.
"""

from tiermem.layer.pool.area import Area
from tiermem.layer.pool.create import create_pool
from tiermem.layer.pool.directory import Entry
from tiermem.layer.pool.extent import Draft, Extent
from tiermem.layer.pool.pool import Pool, open_pool

__all__ = ["Area", "Draft", "Entry", "Extent", "Pool", "create_pool", "open_pool"]
