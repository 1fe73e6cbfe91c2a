"""Others that move pages on this host: the daemon says so, since two movers undo each other."""

from __future__ import annotations

from tiermem.layer.switches import Switches


def competing_movers(switches: Switches, tracker: str) -> list[str]:
    """One sentence for each mover that is active; empty when M5 is alone."""
    found = []
    if switches.numa_balancing:
        found.append(
            f"kernel.numa_balancing is {switches.numa_balancing}: it moves pages by hint faults; "
            'set it to 0, or kernel.numa_balancing = "off" in m5.toml'
        )
    if switches.damon and switches.damon.running and tracker != "damon":
        found.append(
            f"{len(switches.damon.running)} kdamonds are running: their schemes may move pages; "
            "stop them (damo stop)"
        )
    if switches.zone_reclaim_mode:
        found.append(
            f"vm.zone_reclaim_mode is {switches.zone_reclaim_mode}: nodes are reclaimed before "
            "others are used; set it to 0"
        )
    return found
