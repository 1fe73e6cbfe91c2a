"""`tiermem oasis ls` as tables."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from tiermem.oasis.bandwidth import bandwidth_text
from tiermem.service.size import size_text


def outdated_text(listing: Any) -> str:
    """Of /v1/ls: what it is worth, where it is not of now; else empty."""
    trouble = listing["state_trouble"]
    return f"etcd is {trouble}; what follows is as it was then" if trouble else ""


def devices_table(listing: Any) -> Table:
    """Of /v1/ls."""
    table = Table("device", "kind", "health", "capacity", "promised", "load", "backup", "instances")
    lent = {one["failed"]: one["backup"] for one in listing["loans"]}
    for one in listing["devices"]:
        health = one["health"]
        if one["device"] in lent:
            health += f", {lent[one['device']]} stands in"
        table.add_row(
            one["device"],
            one["kind"],
            health,
            _capacity(one),
            _promised(one),
            f"{one['measured'] / max(1, one['capacity']):.0%}",
            one["backup"] or "",
            str(one["instances"]),
        )
    return table


def instances_table(listing: Any) -> Table:
    """Of /v1/ls; names, addresses and troubles are those of this host's instances."""
    table = Table("instance", "name", "kind", "promised", "device", "asked for", "address", "state")
    for one in listing["instances"]:
        table.add_row(
            one["instance"],
            one.get("name", ""),
            one["kind"],
            _amount(one["kind"], one["expected"], one.get("bytes", 0)),
            one["device"] or "",
            (one["wish"] or "") if one["kind"] == "nic" else "",
            one.get("mac") or one.get("path") or "",
            _state(one),
        )
    return table


def slices_table(slices: Any) -> Table:
    """Of /v1/slices."""
    table = Table("SSD", "instance", "id", "size", "state")
    for one in slices:
        table.add_row(
            one["device"], one["instance"], one["id"], size_text(one["bytes"]), one["state"]
        )
    return table


def _state(instance: Any) -> str:
    if "is_ready" not in instance:
        return ""
    if instance.get("is_leaving"):
        return f"gives its slice back {instance['trouble']}".rstrip()
    if instance["trouble"]:
        return str(instance["trouble"])
    if not instance["is_ready"]:
        return "waits"
    if instance["by"] != instance["device"]:
        return f"by {instance['by']} for now"
    return "ready"


def _capacity(device: Any) -> str:
    return _amount(device["kind"], device["capacity"], device.get("bytes", 0))


def _promised(device: Any) -> str:
    given = device.get("bytes", 0) - device.get("room", 0)
    return _amount(device["kind"], device["expected"], given)


def _amount(kind: str, amount: int, size: int) -> str:
    """Of a NIC's bandwidth; of an SSD's bytes, and commands a second where it says any."""
    if kind == "nic":
        return bandwidth_text(amount)
    return f"{size_text(size)}, {amount} IOPS" if amount else size_text(size)
