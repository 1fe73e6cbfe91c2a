"""Replay: an address trace through cache, tiers, trackers and a policy, in seconds.

A trace (a recording, or a synthetic pattern) runs on a modelled machine whose
inner loop is C (`native/replay_machine.c`, over the models of fpga_models/).
Python is entered once a policy round, where the very classes decide that the
M5 daemon runs. Nothing here touches the host: it is how a policy is tried.
"""
