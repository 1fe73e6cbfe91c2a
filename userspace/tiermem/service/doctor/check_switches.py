"""The kernel's switches: what tiering needs on, and what competes with it."""

from __future__ import annotations

from tiermem.layer.switches import NUMA_BALANCING_TIERING
from tiermem.service.doctor.facts import Facts
from tiermem.service.doctor.registry import Finding, Status, check


@check("demotion")
def _demotion(facts: Facts) -> Finding:
    demotion = facts.topology.demotion
    targets = "; ".join(
        f"node {source} to {_numbers(nodes)}" for source, nodes in demotion.targets.items()
    )
    if demotion.is_enabled is None:
        return Finding(
            "demotion",
            Status.FAIL,
            "this kernel has no demotion switch",
            "cold pages cannot leave DRAM, so there is no room to promote into",
            "boot a kernel built with CONFIG_NUMA and CONFIG_MIGRATION",
        )
    if demotion.is_enabled:
        return Finding("demotion", Status.OK, f"on ({targets or 'no targets: one tier'})")
    return Finding(
        "demotion",
        Status.WARN,
        "off",
        "cold pages stay in DRAM (or are swapped out), so there is no room to promote into; "
        "tiermem m5 turns it on while it runs",
        "echo 1 > /sys/kernel/mm/numa/demotion_enabled",
    )


@check("numa-balancing")
def _numa_balancing(facts: Facts) -> Finding:
    mode = facts.topology.switches.numa_balancing
    if not mode:
        return Finding("numa-balancing", Status.OK, "off" if mode == 0 else "not in this kernel")
    what = "tiering mode promotes" if mode & NUMA_BALANCING_TIERING else "it moves"
    return Finding(
        "numa-balancing",
        Status.WARN,
        f"on (mode {mode})",
        f"competes with m5: {what} pages by hint faults of its own, whose cost the workload pays",
        "echo 0 > /proc/sys/kernel/numa_balancing",
    )


@check("damon")
def _damon(facts: Facts) -> Finding:
    switches = facts.topology.switches
    if "damon" in switches.hidden:
        return Finding(
            "damon",
            Status.WARN,
            "DAMON's sysfs interface can be read by root only",
            "whether it competes with m5, or can serve it as a tracker, was not looked at",
            "sudo tiermem doctor",
        )
    if switches.damon is None:
        return Finding(
            "damon",
            Status.WARN,
            "DAMON's sysfs interface is not there",
            "the damon tracker, which needs no special hardware, cannot be used",
            "boot a kernel built with CONFIG_DAMON_SYSFS and CONFIG_DAMON_PADDR",
        )
    helpers = {
        "damon_lru_sort": switches.damon_lru_sort,
        "damon_reclaim": switches.damon_reclaim,
    }
    busy = [name for name, is_on in helpers.items() if is_on]
    if busy:
        return Finding(
            "damon",
            Status.WARN,
            f"{', '.join(busy)} is on",
            "competes with m5: DAMON ages or evicts pages by its own view of what is cold",
            "; ".join(f"echo N > /sys/module/{name}/parameters/enabled" for name in busy),
        )
    if switches.damon.running:
        numbers = _numbers(switches.damon.running)
        return Finding(
            "damon",
            Status.WARN,
            f"kdamond {numbers} is running",
            "competes with m5 if it has schemes that move pages, and costs CPU time in any case",
            "; ".join(
                f"echo off > /sys/kernel/mm/damon/admin/kdamonds/{number}/state"
                for number in switches.damon.running
            ),
        )
    return Finding("damon", Status.OK, "there, and idle")


@check("huge-pages")
def _huge_pages(facts: Facts) -> Finding:
    switches = facts.topology.switches
    if switches.thp_enabled == "always":
        return Finding(
            "huge-pages",
            Status.WARN,
            "transparent huge pages: always",
            "one hot 4 KiB page then takes 2 MiB of DRAM; m5 counts and moves whole folios",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        )
    return Finding("huge-pages", Status.OK, f"transparent huge pages: {switches.thp_enabled}")


@check("zone-reclaim")
def _zone_reclaim(facts: Facts) -> Finding:
    mode = facts.topology.switches.zone_reclaim_mode
    if not mode:
        return Finding("zone-reclaim", Status.OK, "off")
    return Finding(
        "zone-reclaim",
        Status.WARN,
        f"on (mode {mode})",
        "an allocation then reclaims its own node first instead of going to the next tier",
        "echo 0 > /proc/sys/vm/zone_reclaim_mode",
    )


def _numbers(numbers: tuple[int, ...]) -> str:
    return ",".join(str(number) for number in numbers)
