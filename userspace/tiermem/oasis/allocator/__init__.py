"""The pod allocator: which NIC or SSD of the pod each instance uses.

Off the data path. Decisions are pure functions of what is known of the pod:

- `pod`: devices, instances, who uses what, and plans that change it;
- `placement`: at start; `failover`: at failure; `requests`: move and drain;
  `rebalance`: when loads have drifted apart;
- `leadership`: which host decides, and whose decisions are obeyed;
- `state`: what hosts tell each other, as it lies in an area of the pool.
"""
