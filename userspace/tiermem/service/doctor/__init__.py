"""What this host lacks for tiering, why that matters, and the command that changes it.

`read_facts` looks; every check is a pure function from facts to a Finding in
one of the `check_…` modules; `examine` runs them all.
"""

from tiermem.service.doctor import (
    check_fork,
    check_host,
    check_memory,
    check_oasis,
    check_serving,
    check_switches,
)
from tiermem.service.doctor.facts import (
    DaxDevice,
    Facts,
    ForkFacts,
    OasisFacts,
    ServingFacts,
    read_facts,
)
from tiermem.service.doctor.registry import CHECKS, Check, Finding, Status, examine

CHECK_MODULES = (check_host, check_memory, check_switches, check_fork, check_oasis, check_serving)
"""Importing them registers their checks."""

__all__ = [
    "CHECKS",
    "CHECK_MODULES",
    "Check",
    "DaxDevice",
    "Facts",
    "Finding",
    "ForkFacts",
    "OasisFacts",
    "ServingFacts",
    "Status",
    "examine",
    "read_facts",
]
