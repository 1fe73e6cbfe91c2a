"""`tiermem oasis ls` as tables."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from tiermem.oasis.bandwidth import bandwidth_text

_GIB = 1 << 30


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
            _amount(one["kind"], one["capacity"]),
            _amount(one["kind"], one["expected"]),
            f"{one['measured'] / max(1, one['capacity']):.0%}",
            one["backup"] or "",
            str(one["instances"]),
        )
    return table


def instances_table(listing: Any) -> Table:
    """Of /v1/ls; names, addresses and troubles are those of this host's instances."""
    table = Table("instance", "name", "kind", "promised", "device", "asked for", "MAC", "state")
    for one in listing["instances"]:
        table.add_row(
            one["instance"],
            one.get("name", ""),
            one["kind"],
            _amount(one["kind"], one["expected"]),
            one["device"] or "",
            one["wish"] or "",
            one.get("mac", ""),
            _state(one),
        )
    return table


def _state(instance: Any) -> str:
    if "is_ready" not in instance:
        return ""
    if instance["trouble"]:
        return str(instance["trouble"])
    if not instance["is_ready"]:
        return "waits"
    if instance["by"] != instance["device"]:
        return f"by {instance['by']} for now"
    return "ready"


def _amount(kind: str, amount: int) -> str:
    return bandwidth_text(amount) if kind == "nic" else f"{amount / _GIB:.1f} GiB"
