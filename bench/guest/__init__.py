"""The part of the benchmark that runs inside the guest.

Standard library only: an import costs guest instructions, and the guest has
one vCPU, which it shares with what is being measured.
"""
