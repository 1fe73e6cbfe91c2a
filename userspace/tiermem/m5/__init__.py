"""M5: page tiering that follows the tracker device's hot lists.

A round goes Monitor (how hard each tier is read) → tracker (which pages and
lines of the slow tier are hot) → policy (Nominator: which pages deserve it;
Elector: whether and how often moving pays) → Promoter. Everything up to and
including the policy is free of I/O, so `tiermem replay` runs the same code.
"""
