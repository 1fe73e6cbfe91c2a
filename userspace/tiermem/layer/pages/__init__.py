"""Pages of processes and of the machine, in bulk, as numpy arrays.

- `mappings`: what a process has mapped (/proc/PID/maps);
- `pagemap`: which page frame backs each of its pages (/proc/PID/pagemap);
- `owners`: which process and address a page frame belongs to;
- `frames`: what the kernel says of a frame (/proc/kpageflags, /proc/kpagecount);
- `numa_maps`: how much of a process lies on which node (/proc/PID/numa_maps).

Addresses and page frame numbers (PFNs) are uint64. A process that ends while it
is read raises ProcessGoneError; functions over many processes skip it.
"""

from tiermem.layer.pages.frames import (
    PageFlag,
    flag_names,
    read_cgroups,
    read_flags,
    read_map_counts,
)
from tiermem.layer.pages.mappings import Mapping, read_mappings
from tiermem.layer.pages.numa_maps import NumaMapping, bytes_by_node, read_numa_maps
from tiermem.layer.pages.owners import FrameIndex, Owners, find_owners
from tiermem.layer.pages.pagemap import PageMap, read_pagemap, read_process_pages

__all__ = [
    "FrameIndex",
    "Mapping",
    "NumaMapping",
    "Owners",
    "PageFlag",
    "PageMap",
    "bytes_by_node",
    "find_owners",
    "flag_names",
    "read_cgroups",
    "read_flags",
    "read_map_counts",
    "read_mappings",
    "read_numa_maps",
    "read_pagemap",
    "read_process_pages",
]
