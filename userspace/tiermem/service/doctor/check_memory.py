"""What memory there is: a slower tier, in a zone that can be moved, with room."""

from __future__ import annotations

from tiermem.layer.topology import Node
from tiermem.service.doctor.facts import Facts
from tiermem.service.doctor.registry import Finding, Status, check

ROOM_MIN = 0.02
"""Share of the slow tier that should be free where there is no swap."""

FIRMWARE_FIX = (
    "set this memory to `specific purpose` in the firmware's set-up; after the reboot: "
    "daxctl reconfigure-device --mode=system-ram dax0.0"
)
"""For memory that is there from boot on: only firmware can leave it to the dax driver."""


@check("slow-memory")
def _slow_memory(facts: Facts) -> Finding:
    slow = [node for node in facts.topology.nodes if node.is_cpuless]
    if slow:
        return Finding("slow-memory", Status.OK, "; ".join(_describe(node) for node in slow))
    idle = [device for device in facts.dax_devices if device.driver != "kmem"]
    if facts.fork is not None and not facts.fork.pool_trouble:
        idle = [device for device in idle if device.name != facts.fork.pool.name]
    if idle:
        device = idle[0]
        return Finding(
            "slow-memory",
            Status.FAIL,
            f"{device.name} ({_gib(device.size_bytes)}) is not used as system memory",
            "only memory that is a node of its own can be a tier",
            "echo online_movable > /sys/devices/system/memory/auto_online_blocks; "
            f"daxctl reconfigure-device --mode=system-ram {device.name}",
        )
    if offline := [device for device in facts.dax_devices if device.driver == "kmem"]:
        device = offline[0]
        return Finding(
            "slow-memory",
            Status.FAIL,
            f"{device.name} ({_gib(device.size_bytes)}) is system memory, and none of it is online",
            "offline memory is used by nobody",
            f"daxctl online-memory {device.name}",
        )
    if facts.dax_devices:
        device = facts.dax_devices[0]
        return Finding(
            "slow-memory",
            Status.FAIL,
            f"{device.name} ({_gib(device.size_bytes)}) is the pool of CXLfork",
            "only memory that is a node of its own can be a tier, and there is no other",
            "nothing, where M5 is not wanted here",
        )
    if facts.cxl_memory_devices:
        device_name = facts.cxl_memory_devices[0]
        return Finding(
            "slow-memory",
            Status.FAIL,
            f"CXL memory device {device_name} without a region",
            "a CXL device's memory is reached only through a region",
            f"cxl create-region -t ram -d decoder0.0 -m {device_name} -w 1",
        )
    return Finding(
        "slow-memory",
        Status.FAIL,
        "no node without CPUs, and no CXL memory device",
        "there is nothing slower than DRAM here, so nothing to tier",
        "to try it on emulated CXL memory: tiermem testbed build && tiermem testbed up",
    )


@check("tiers")
def _tiers(facts: Facts) -> Finding:
    tiers = facts.topology.tiers
    shown = "; ".join(f"tier {t.kernel_id}: nodes {_numbers(t.nodes)}" for t in tiers)
    if len(tiers) > 1:
        return Finding("tiers", Status.OK, f"{shown} (fastest first)")
    if not tiers:
        return Finding(
            "tiers",
            Status.FAIL,
            "the kernel shows no memory tiers",
            "without tiers nothing is demoted or promoted",
            "boot a kernel of 6.1 or newer with CONFIG_NUMA and CONFIG_MIGRATION",
        )
    if not any(node.is_cpuless for node in facts.topology.nodes):
        return Finding(
            "tiers", Status.FAIL, shown, "one tier: see slow-memory", "as for slow-memory"
        )
    return Finding("tiers", Status.FAIL, f"one tier for all nodes ({shown})", *_one_tier(facts))


def _one_tier(facts: Facts) -> tuple[str, str]:
    why = (
        "the kernel gives a node a slower tier only when its memory comes up through dax/kmem "
        "(or firmware's HMAT says that it is slower); to the kernel these nodes are all DRAM"
    )
    arguments = [a for a in facts.kernel_arguments if "nosoftreserve" in a]
    if arguments:
        return why, (
            f"remove {arguments[0]} from GRUB_CMDLINE_LINUX in /etc/default/grub, "
            "then update-grub && reboot"
        )
    return why, FIRMWARE_FIX


@check("speed")
def _speed(facts: Facts) -> Finding:
    said = [
        f"node {node.id}: {node.access.read_latency_ns or '?'} ns, "
        f"{(node.access.read_bandwidth_Bps or 0) / 1e9:.1f} GB/s"
        for node in facts.topology.nodes
        if node.access is not None
    ]
    if said:
        return Finding("speed", Status.OK, "; ".join(said))
    return Finding("speed", Status.OK, "firmware gives no latencies (HMAT); tiers do not need them")


@check("zone")
def _zone(facts: Facts) -> Finding:
    slow = [node for node in facts.topology.nodes if node.is_cpuless]
    mixed = [node for node in slow if not node.is_movable_only]
    if not mixed:
        return Finding("zone", Status.OK, "slow memory is all movable" if slow else "none to judge")
    node = mixed[0]
    device = next((d.name for d in facts.dax_devices if d.target_node == node.id), None)
    fix = FIRMWARE_FIX
    if device is not None:
        fix = (
            "echo online_movable > /sys/devices/system/memory/auto_online_blocks; "
            f"daxctl reconfigure-device --force --mode=devdax {device}; "
            f"daxctl reconfigure-device --mode=system-ram {device}"
        )
    return Finding(
        "zone",
        Status.WARN,
        f"node {node.id} has zones {', '.join(node.zones) or 'unknown'}",
        "outside ZONE_MOVABLE the kernel puts its own, unmovable and slow, pages there",
        fix,
    )


@check("room")
def _room(facts: Facts) -> Finding:
    slow = [node for node in facts.topology.nodes if node.is_cpuless]
    total = sum(node.total_bytes for node in slow)
    free = sum(node.free_bytes for node in slow)
    swap = facts.topology.switches.swap_total_bytes
    seen = f"slow memory: {_gib(free)} of {_gib(total)} free; swap: {_gib(swap)}"
    if total and free < ROOM_MIN * total and not swap:
        return Finding(
            "room",
            Status.WARN,
            seen,
            "the slow tier is full and there is no swap: cold pages have nowhere to go",
            "fallocate -l 4G /swap && chmod 600 /swap && mkswap /swap && swapon /swap",
        )
    return Finding("room", Status.OK, seen)


@check("hugetlb")
def _hugetlb(facts: Facts) -> Finding:
    pages = facts.topology.switches.hugetlb_pages
    if pages == 0:
        return Finding("hugetlb", Status.OK, "no reserved pages")
    return Finding(
        "hugetlb",
        Status.WARN,
        f"{pages} reserved hugetlb pages",
        "they stay where they are, and are lost to tiering",
        "echo 0 > /proc/sys/vm/nr_hugepages (if nobody needs them)",
    )


def _describe(node: Node) -> str:
    kind = "CXL" if node.is_cxl else "no CPUs"
    return f"node {node.id} ({kind}, {_gib(node.total_bytes)})"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ",".join(str(number) for number in numbers)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
