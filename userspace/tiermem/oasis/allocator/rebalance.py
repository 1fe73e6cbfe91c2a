"""Moving instances from the most to the least loaded NIC, when it is worth it.

Hysteresis: nothing happens until the most and the least loaded of the healthy NICs are
`begin` apart, and then only until they are `end` apart. Each move lowers the load of the
more loaded of the two, and an instance moves once a plan, so nothing goes back and forth.
Who is where it was asked to be stays.
SSDs are not rebalanced: their data would have to be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tiermem.oasis.allocator.placement import Loads
from tiermem.oasis.allocator.pod import Device, Instance, InstanceId, Kind, Move, Plan, Pod


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """Shares of a NIC's capacity, and how many instances are moved at once at most."""

    begin: Fraction = Fraction(1, 4)
    end: Fraction = Fraction(1, 8)
    moves_max: int = 4


def rebalance(pod: Pod, hysteresis: Hysteresis = Hysteresis()) -> Plan:
    """The moves that are worth it now, none in most cases."""
    loads = Loads(pod)
    nics = pod.healthy(Kind.NIC)
    users = {one.id: pod.users(one.id) for one in nics}
    moves: list[Move] = []
    moved: set[InstanceId] = set()
    gap = hysteresis.begin
    while len(nics) > 1 and len(moves) < hysteresis.moves_max:
        most = max(nics, key=lambda one: (loads.share(one), one.id))
        least = min(nics, key=lambda one: (loads.share(one), one.id))
        if loads.share(most) - loads.share(least) <= gap:
            break
        movable = [one for one in users[most.id] if one.id not in moved and one.wish != most.id]
        chosen = _narrowing(loads, most, least, movable)
        if chosen is None:
            break
        loads.add(most.id, -chosen.expected)
        loads.add(least.id, chosen.expected)
        moves.append(Move(chosen.id, most.id, least.id))
        moved.add(chosen.id)
        users[most.id].remove(chosen)
        gap = hysteresis.end
    return Plan(tuple(moves))


def _narrowing(
    loads: Loads, most: Device, least: Device, movable: list[Instance]
) -> Instance | None:
    """Whose move leaves the more loaded of the two least loaded; None where none helps."""
    before = loads.share(most)

    def height(instance: Instance) -> Fraction:
        return max(loads.share(most, -instance.expected), loads.share(least, instance.expected))

    fitting = [one for one in movable if loads.room(least) >= one.expected and height(one) < before]
    return min(fitting, key=lambda one: (height(one), one.id), default=None)
