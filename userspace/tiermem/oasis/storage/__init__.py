"""The storage engine: slices of a device of one host, for instances on others.

- `link`: the memory that a frontend and a backend share;
- `device`, `slices`, `backend`: the side that has the device;
- `frontend`: the side of the instances;
- `block_device`, `ublk`: the same as a block device;
- `engine`: what oasisd makes of these: `ssd` on the host that has one, with its `slice_table`;
  `served` on the host of an instance; `claim`, what the two tell each other.

The data path is C (native/storage_*.h); docs/oasis.md says what is promised.
"""
