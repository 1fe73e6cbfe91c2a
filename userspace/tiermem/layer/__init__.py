"""The memory layer: what every client imports, and nothing below it.

- `topology`: nodes, tiers, HMAT figures, demotion, the kernel's switches;
- `pages`: which page frame backs an address of a process, who owns a frame;
- `placement`: put memory on a node, move pages with one result a page;
- `pool`: extents in memory that several hosts share;
- `arena`: memory of a chosen tier for one client, as buffers;
- `tracker_device`, `promote_device`: the project's two kernel modules.
"""
