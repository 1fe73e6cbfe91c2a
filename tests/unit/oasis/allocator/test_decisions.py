"""What the leader decides: at start, at failure, on request, and when loads drift apart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import NoSpaceError, TiermemError
from tiermem.oasis.allocator.decisions import decide
from tiermem.oasis.allocator.failover import fail_over, stand_in
from tiermem.oasis.allocator.placement import Loads, place
from tiermem.oasis.allocator.pod import (
    DeviceId,
    Health,
    InstanceId,
    Kind,
    Loan,
    Move,
    Plan,
    Pod,
)
from tiermem.oasis.allocator.rebalance import Hysteresis, rebalance
from tiermem.oasis.allocator.requests import drain, move

from tests.unit.oasis.allocator.hand_made import nic, wants
from tests.unit.oasis.allocator.pods import pods, unhurried, with_health

FIRST, SECOND, THIRD = DeviceId(0, 0), DeviceId(1, 0), DeviceId(2, 0)


def targets(plan: Plan) -> dict[InstanceId, DeviceId]:
    return {one.instance: one.target for one in plan.moves}


# --- at start ---


def test_the_own_hosts_device_is_preferred_when_loads_are_equal() -> None:
    pod = Pod.of([nic(0), nic(1)], [wants(1, 0, 10)])
    assert targets(place(pod)) == {InstanceId(1, 0): SECOND}


def test_the_least_loaded_device_wins_by_what_was_measured_too() -> None:
    busy = replace(nic(1), measured=80)
    pod = Pod.of([nic(0), busy], [wants(1, 0, 10)])
    assert targets(place(pod)) == {InstanceId(1, 0): FIRST}


@unhurried
@given(pods())
def test_nobody_waits_while_a_healthy_device_has_room(pod: Pod) -> None:
    plan = decide(pod)
    after = pod.after(plan)
    for instance in after.unserved():
        assert instance.id in plan.waiting
        assert all(after.room(one.id) < instance.expected for one in after.healthy(instance.kind))


@unhurried
@given(pods(), st.booleans())
def test_only_healthy_devices_with_room_are_given_anything(pod: Pod, balances: bool) -> None:
    plan = decide(pod, Hysteresis() if balances else None)
    after = pod.after(plan)
    for one in plan.moves:
        device = pod.devices[one.target]
        assert device.health is Health.HEALTHY
        assert device.kind is pod.instances[one.instance].kind
    assert all(after.room(device) >= 0 for device in pod.devices)


@unhurried
@given(pods(), st.randoms())
def test_any_leader_decides_the_same(pod: Pod, chance: object) -> None:
    devices, instances = list(pod.devices.values()), list(pod.instances.values())
    assignments = list(pod.assignments.items())
    for one in (devices, instances, assignments):
        chance.shuffle(one)  # type: ignore[attr-defined]
    shuffled = Pod.of(devices, instances, dict(assignments))
    assert decide(shuffled, Hysteresis()) == decide(pod, Hysteresis())


@unhurried
@given(pods())
def test_what_was_decided_leaves_nothing_to_decide(pod: Pod) -> None:
    after = pod.after(decide(pod))
    assert decide(after).moves == ()


# --- at failure ---


def test_the_backup_takes_a_failed_nics_instances_and_borrows_its_mac() -> None:
    failed = replace(nic(0), health=Health.FAILED, backup=THIRD)
    users = [wants(0, 0, 20), wants(3, 0, 30)]
    pod = Pod.of([failed, nic(1), nic(2)], users, {one.id: FIRST for one in users})
    plan = fail_over(pod, FIRST)
    assert set(targets(plan).values()) == {THIRD}
    assert plan.loans == (Loan(FIRST, THIRD),)


def test_who_does_not_fit_on_the_backup_is_spread() -> None:
    failed = replace(nic(0), health=Health.FAILED, backup=THIRD)
    users = [wants(0, 0, 40), wants(0, 1, 60)]
    pod = Pod.of([failed, nic(1), nic(2, capacity=70)], users, {one.id: FIRST for one in users})
    assert targets(fail_over(pod, FIRST)) == {InstanceId(0, 1): THIRD, InstanceId(0, 0): SECOND}


def test_a_backup_that_has_failed_too_borrows_nothing() -> None:
    failed = replace(nic(0), health=Health.FAILED, backup=THIRD)
    gone = replace(nic(2), health=Health.FAILED)
    user = wants(0, 0, 10)
    pod = Pod.of([failed, nic(1), gone], [user], {user.id: FIRST})
    plan = fail_over(pod, FIRST)
    assert (targets(plan), plan.loans) == ({user.id: SECOND}, ())


def test_borrowed_macs_go_on_to_the_backups_backup_and_home_when_their_nic_is_back() -> None:
    failed = replace(nic(0), health=Health.FAILED, backup=SECOND)
    user = wants(0, 0, 10)
    pod = Pod.of([failed, replace(nic(1), backup=THIRD), nic(2)], [user], {user.id: FIRST})
    pod = with_health(pod.after(fail_over(pod, FIRST)), SECOND, Health.FAILED)
    pod = pod.after(fail_over(pod, SECOND))
    assert pod.loans == (Loan(FIRST, THIRD), Loan(SECOND, THIRD))
    assert with_health(pod, FIRST, Health.HEALTHY).loans == (Loan(SECOND, THIRD),)


@unhurried
@given(pods())
def test_what_stands_in_until_then_is_where_the_leader_moves_to_while_there_is_room(
    pod: Pod,
) -> None:
    for device in pod.devices.values():
        stand = stand_in(pod.devices, device.id)
        if device.health is not Health.FAILED:
            assert stand == device.id
        elif stand != device.id and stand == device.backup and device.kind is Kind.NIC:
            kept = [one for one in fail_over(pod, device.id).moves if one.target == stand]
            needed = sum(one.expected for one in pod.users(device.id))
            assert len(kept) == len(pod.users(device.id)) or pod.room(stand) < needed


def test_what_this_host_has_lost_has_failed_for_it_whatever_others_say() -> None:
    first = replace(nic(0), backup=SECOND)
    second = replace(nic(1), backup=THIRD)
    devices = {one.id: one for one in (first, second, nic(2))}
    assert stand_in(devices, FIRST) == FIRST
    assert stand_in(devices, FIRST, {FIRST}) == SECOND
    assert stand_in(devices, FIRST, {FIRST, SECOND}) == THIRD
    assert stand_in(devices, FIRST, {FIRST, SECOND, THIRD}) == FIRST
    round_trip = {**devices, SECOND: replace(second, backup=FIRST)}
    assert stand_in(round_trip, FIRST, {FIRST, SECOND}) == FIRST


@unhurried
@given(pods())
def test_instances_stay_on_a_failed_nic_only_for_want_of_room(pod: Pod) -> None:
    plan = decide(pod)
    after = pod.after(plan)
    for instance, device in after.assignments.items():
        if pod.devices[device].health is Health.FAILED and pod.devices[device].kind is Kind.NIC:
            wanting = pod.instances[instance]
            assert instance in plan.waiting
            assert all(after.room(one.id) < wanting.expected for one in after.healthy(Kind.NIC))


@unhurried
@given(pods())
def test_an_instance_never_leaves_its_ssd_unasked(pod: Pod) -> None:
    with_data = [
        replace(one, wish=pod.assignments.get(one.id)) if one.kind is Kind.SSD else one
        for one in pod.instances.values()
    ]
    pod = Pod.of(pod.devices.values(), with_data, pod.assignments, pod.loans)
    moved = [one for one in decide(pod, Hysteresis()).moves if one.source is not None]
    assert all(pod.instances[one.instance].kind is Kind.NIC for one in moved)


# --- on request ---


@unhurried
@given(pods(healths=(Health.HEALTHY,)), st.data())
def test_a_drained_device_is_empty_or_nobody_has_room(pod: Pod, data: st.DataObject) -> None:
    if not pod.devices:
        return
    device = data.draw(st.sampled_from(sorted(pod.devices)))
    draining = with_health(pod, device, Health.DRAINING)
    plan = drain(draining, device)
    after = draining.after(plan)
    left = after.users(device)
    assert {one.id for one in left} == set(plan.waiting)
    for instance in left:
        assert all(after.room(one.id) < instance.expected for one in after.healthy(instance.kind))


def test_a_move_is_made_or_refused_with_what_is_wrong() -> None:
    here, there = wants(0, 0, 60), wants(0, 1, 60)
    ssd = wants(0, 2, 1, Kind.SSD)
    pod = Pod.of([nic(0), nic(1)], [here, there, ssd], {here.id: FIRST, there.id: SECOND})
    assert move(pod, here.id, FIRST) == Plan()
    with pytest.raises(NoSpaceError, match="expects 60, and there is room for 40"):
        move(pod, here.id, SECOND)
    with pytest.raises(TiermemError, match="wants a SSD, not a NIC"):
        move(pod, ssd.id, FIRST)
    with pytest.raises(TiermemError, match="no such device"):
        move(pod, here.id, THIRD)
    empty = with_health(Pod.of([nic(0), nic(1)], [here], {here.id: FIRST}), SECOND, Health.DRAINING)
    with pytest.raises(TiermemError, match="draining, not healthy"):
        move(empty, here.id, SECOND)


def test_an_instance_goes_where_its_host_was_asked_to_have_it_and_stays_there() -> None:
    asked = [replace(wants(0, number, 20), wish=SECOND) for number in range(3)]
    pod = Pod.of([nic(0), nic(1)], asked)
    after = pod.after(decide(pod, Hysteresis()))
    assert set(after.assignments.values()) == {SECOND}
    failed = with_health(after, SECOND, Health.FAILED)
    assert set(failed.after(decide(failed)).assignments.values()) == {FIRST}


# --- balance ---


def test_nothing_moves_until_loads_are_far_apart() -> None:
    users = [wants(0, number, 10) for number in range(3)]
    near = Pod.of([nic(0), nic(1)], users[:2], {one.id: FIRST for one in users[:2]})
    far = Pod.of([nic(0), nic(1)], users, {one.id: FIRST for one in users})
    assert rebalance(near).moves == ()
    assert rebalance(far).moves == (Move(InstanceId(0, 0), FIRST, SECOND),)


@unhurried
@given(pods(), st.integers(1, 6))
def test_balancing_lowers_the_most_loaded_and_moves_each_once(pod: Pod, moves_max: int) -> None:
    plan = rebalance(pod, Hysteresis(moves_max=moves_max))
    assert len(plan.moves) == len({one.instance for one in plan.moves}) <= moves_max
    nics = pod.healthy(Kind.NIC)
    loads = Loads(pod)
    before = max((loads.share(one) for one in nics), default=Fraction(0))
    for one in plan.moves:
        expected = pod.instances[one.instance].expected
        loads.add(one.target, expected)
        loads.add(one.source, -expected)  # type: ignore[arg-type]
    assert max((loads.share(one) for one in nics), default=Fraction(0)) <= before
