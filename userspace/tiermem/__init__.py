"""tiermem: a CXL memory layer for Linux.

The rooms, from the bottom up: `native` (C bound with cffi), `layer` (nodes,
tiers, pages, placement), the daemons (`m5` so far) with what they share in
`service`, and `cli`. `testbed` stands alone: it boots the QEMU machine that
everything else is tried on.
"""
