"""What Oasis needs: TAPs, rights, NICs, SSDs, its pool, its daemon. Well where it is not used."""

from __future__ import annotations

from collections.abc import Callable

from tiermem.service.doctor.facts import Facts, OasisFacts
from tiermem.service.doctor.registry import Check, Finding, Look, Status, check_where_used

NOT_USED = "not needed: Oasis is not used here (systemctl enable --now tiermem-oasis)"


def _if_used(name: str) -> Callable[[Look[OasisFacts]], Check]:
    """Register a check that has something to say only where Oasis is used."""
    return check_where_used(name, lambda facts: facts.oasis, NOT_USED)


@_if_used("tun")
def _tun(_facts: Facts, oasis: OasisFacts) -> Finding:
    if oasis.has_tun:
        return Finding("tun", Status.OK, "/dev/net/tun is there")
    return Finding(
        "tun",
        Status.WARN,
        "/dev/net/tun is not there",
        "the interfaces of instances are TAPs; without them this host can only lend its NICs",
        "modprobe tun",
    )


@_if_used("net-rights")
def _net_rights(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.lacking:
        return Finding("net-rights", Status.OK, "interfaces, raw frames and namespaces allowed")
    return Finding(
        "net-rights",
        Status.WARN,
        f"without {', '.join(oasis.lacking)}",
        "NET_ADMIN makes instances' interfaces, NET_RAW sends and receives their frames by a NIC, "
        "SYS_ADMIN enters network namespaces",
        "run as root: systemctl start tiermem-oasis (in a container: --cap-add each of them)",
    )


@_if_used("pooled-nics")
def _pooled_nics(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.nic_troubles:
        return Finding("pooled-nics", Status.OK, "all NICs of the config have a link")
    return Finding(
        "pooled-nics",
        Status.WARN,
        "; ".join(oasis.nic_troubles),
        "the pod takes a NIC without a link for failed, and has its instances elsewhere",
        f"ip link set INTERFACE up, or another one in {oasis.config}",
    )


@_if_used("nic-offloads")
def _nic_offloads(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.merging_nics:
        return Finding("nic-offloads", Status.OK, "no pooled NIC merges frames for good (LRO)")
    return Finding(
        "nic-offloads",
        Status.WARN,
        f"LRO is on: {', '.join(oasis.merging_nics)}",
        "frames that a NIC has merged without a way back cannot be passed on to an instance, and "
        "are dropped",
        "; ".join(f"ethtool -K {one} lro off" for one in oasis.merging_nics),
    )


@_if_used("block-devices")
def _block_devices(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.block_device_trouble:
        return Finding("block-devices", Status.OK, "/dev/ublk-control is there")
    return Finding(
        "block-devices",
        Status.WARN,
        oasis.block_device_trouble,
        "instances use slices of SSDs as block devices by ublk (Linux 6.9 or newer, root); without "
        "it this host can only lend its SSDs",
        "modprobe ublk_drv (at each boot: echo ublk_drv > /etc/modules-load.d/tiermem.conf)",
    )


@_if_used("io-uring")
def _io_uring(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.io_uring_trouble:
        return Finding("io-uring", Status.OK, "io_uring may be used")
    return Finding(
        "io-uring",
        Status.WARN,
        oasis.io_uring_trouble,
        "SSDs are read and written, and block devices served, by io_uring",
        "sysctl kernel.io_uring_disabled=1",
    )


@_if_used("pooled-ssds")
def _pooled_ssds(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.ssd_troubles:
        return Finding("pooled-ssds", Status.OK, "all SSDs of the config can be lent, or are")
    return Finding(
        "pooled-ssds",
        Status.WARN,
        "; ".join(oasis.ssd_troubles),
        "the pod takes an SSD that cannot be opened for failed; who has a slice of it waits",
        f"umount what is on it; tiermem oasis format-ssd PATH, once; or another in {oasis.config}",
    )


@_if_used("oasis-pool")
def _pool(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.pool_trouble:
        return Finding("oasis-pool", Status.OK, f"{oasis.pool} is a pool")
    return Finding(
        "oasis-pool",
        Status.WARN,
        oasis.pool_trouble,
        "hosts reach each other's NICs through the pool, which every host of the pod must reach",
        f"tiermem pool create {oasis.pool} --hosts 2 (on one host), or another in {oasis.config}",
    )


@_if_used("oasis-etcd")
def _etcd(_facts: Facts, oasis: OasisFacts) -> Finding:
    if oasis.etcd_troubles:
        return Finding(
            "oasis-etcd",
            Status.WARN,
            "; ".join(oasis.etcd_troubles),
            "while no majority of etcd answers this host, its instances go on with what they have "
            "and with backups, but nothing new is decided",
            f"start etcd there (systemctl start etcd), or other endpoints in {oasis.config}; what "
            "it wants of a host and what the unit needs is in docs/oasis.md, In etcd",
        )
    versions = ", ".join(f"{one} is {version}" for one, version in oasis.etcd_versions.items())
    return Finding(
        "oasis-etcd", Status.OK, versions or "not needed: the pod's state is in the pool"
    )


@_if_used("oasis-daemon")
def _oasis_daemon(_facts: Facts, oasis: OasisFacts) -> Finding:
    if not oasis.daemon_trouble:
        return Finding("oasis-daemon", Status.OK, "oasisd answers")
    return Finding(
        "oasis-daemon",
        Status.WARN,
        oasis.daemon_trouble,
        "without it this host's instances have no network and no disks, and other hosts none of "
        "its NICs and SSDs",
        "systemctl restart tiermem-oasis; journalctl -u tiermem-oasis says why it ended",
    )
