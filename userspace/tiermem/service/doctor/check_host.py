"""What the host as a whole gives: rights, kernel, modules, cgroups."""

from __future__ import annotations

import re

from tiermem.service.doctor.facts import Facts
from tiermem.service.doctor.registry import Finding, Status, check

KERNEL_MIN = (6, 1)
"""First with memory tiers in sysfs."""
KERNEL_TESTED_MIN = (6, 12)
"""Oldest that this project is tested on."""


@check("rights")
def _rights(facts: Facts) -> Finding:
    if facts.is_root:
        return Finding("rights", Status.OK, "running as root")
    return Finding(
        "rights",
        Status.WARN,
        "not running as root",
        "page frame numbers, physical addresses and the kernel's switches are hidden from others",
        "sudo tiermem doctor",
    )


@check("kernel")
def _kernel(facts: Facts) -> Finding:
    release = facts.topology.switches.kernel_release
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < KERNEL_MIN:
        return Finding(
            "kernel",
            Status.FAIL,
            f"Linux {release}",
            "memory tiers came with 6.1; before it the kernel cannot tell CXL from DRAM",
            "apt install linux-image-amd64 from a release with 6.12 or newer, and reboot",
        )
    if version < KERNEL_TESTED_MIN:
        return Finding(
            "kernel",
            Status.WARN,
            f"Linux {release}",
            "tiermem is tested on 6.12 and newer; the modules may not build for older ones",
            "apt install linux-image-amd64 from a release with 6.12 or newer, and reboot",
        )
    return Finding("kernel", Status.OK, f"Linux {release}")


@check("native")
def _native(facts: Facts) -> Finding:
    if facts.has_native:
        return Finding("native", Status.OK, "the extension modules are built")
    return Finding(
        "native",
        Status.FAIL,
        "the extension module _syscalls is not built",
        "mbind and move_pages are called through it",
        "python3 userspace/tiermem/native/build.py",
    )


@check("tracker-module")
def _tracker_module(facts: Facts) -> Finding:
    if "tiermem_hpt" in facts.loaded_modules:
        return Finding("tracker-module", Status.OK, "tiermem_hpt is loaded")
    if not facts.tracker_devices:
        return Finding(
            "tracker-module", Status.OK, "not needed: this host has no tracker device (use damon)"
        )
    return Finding(
        "tracker-module",
        Status.WARN,
        f"tracker device {facts.tracker_devices[0]} without tiermem_hpt",
        "its hot page lists cannot be read, and m5 does not start by default",
        "make kmod install && modprobe tiermem_hpt; without the module: "
        'tracker.kind = "damon" in /etc/tiermem/m5.toml',
    )


@check("promote-module")
def _promote_module(facts: Facts) -> Finding:
    if "tiermem_promote" in facts.loaded_modules:
        return Finding("promote-module", Status.OK, "tiermem_promote is loaded")
    return Finding(
        "promote-module",
        Status.WARN,
        "tiermem_promote is not loaded",
        "m5 then searches page maps for each page's owner and uses move_pages(2): more CPU time, "
        "and pages without a known owner stay",
        "make kmod install && modprobe tiermem_promote",
    )


@check("cgroup")
def _cgroup(facts: Facts) -> Finding:
    if facts.cgroup_controllers is not None and "memory" in facts.cgroup_controllers:
        return Finding("cgroup", Status.OK, "cgroup v2 with the memory controller")
    found = "no cgroup v2" if facts.cgroup_controllers is None else "cgroup v2 without memory"
    return Finding(
        "cgroup",
        Status.WARN,
        f"{found} at /sys/fs/cgroup",
        "m5 cannot be limited to a cgroup, only to processes",
        "add systemd.unified_cgroup_hierarchy=1 to GRUB_CMDLINE_LINUX in /etc/default/grub, "
        "then update-grub && reboot",
    )


@check("group")
def _group(facts: Facts) -> Finding:
    if facts.has_group:
        return Finding("group", Status.OK, "group tiermem is there")
    return Finding(
        "group",
        Status.WARN,
        "there is no group tiermem",
        "only root can then ask the daemons how they are",
        "groupadd --system tiermem",
    )
