"""All that the leader decides at once, in the order of urgency."""

from __future__ import annotations

from tiermem.oasis.allocator.failover import fail_over
from tiermem.oasis.allocator.placement import place
from tiermem.oasis.allocator.pod import Health, InstanceId, Kind, Loan, Move, Plan, Pod
from tiermem.oasis.allocator.rebalance import Hysteresis, rebalance
from tiermem.oasis.allocator.requests import drain, grant
from tiermem.oasis.allocator.resettle import resettle


def decide(pod: Pod, hysteresis: Hysteresis | None = None) -> Plan:
    """Failed NICs' instances first, then what was asked for, then those without a device,
    then SSDs' newcomers and NICs to be emptied, then balance; without `hysteresis` none of
    the last. An instance may move twice in a plan; the moves are in their order."""
    moves: list[Move] = []
    loans: list[Loan] = []
    waiting: set[InstanceId] = set()

    def carry_out(plan: Plan) -> None:
        nonlocal pod
        moves.extend(plan.moves)
        loans.extend(plan.loans)
        waiting.update(plan.waiting)
        pod = pod.after(plan)

    nics = [one for one in pod.devices.values() if one.kind is Kind.NIC]
    for device in nics:
        if device.health is Health.FAILED:
            carry_out(fail_over(pod, device.id))
    carry_out(grant(pod))
    carry_out(place(pod))
    carry_out(resettle(pod))
    for device in nics:
        if device.health is Health.DRAINING:
            carry_out(drain(pod, device.id))
    if hysteresis is not None:
        carry_out(rebalance(pod, hysteresis))
    return Plan(tuple(moves), tuple(sorted(waiting)), tuple(loans))
