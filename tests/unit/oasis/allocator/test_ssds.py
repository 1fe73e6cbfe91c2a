"""SSDs: chosen by commands and by room for bytes; who has data goes back to it, and to no other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tiermem.oasis.allocator.decisions import decide
from tiermem.oasis.allocator.pod import Device, DeviceId, Health, Instance, InstanceId, Kind, Pod
from tiermem.oasis.allocator.rebalance import Hysteresis

from tests.unit.oasis.allocator.pods import unhurried

FIRST, SECOND = DeviceId(0, 100), DeviceId(1, 100)


def ssd(one: DeviceId, room: int = 100, size: int = 100) -> Device:
    return Device(one, Kind.SSD, 1000, bytes=size, room_bytes=room)


def wants(number: int, size: int, *, host: int = 2, home: DeviceId | None = None) -> Instance:
    return Instance(InstanceId(host, number), Kind.SSD, 0, home, size)


def assigned(pod: Pod) -> dict[int, DeviceId]:
    """After what is decided, by the instances' numbers."""
    after = pod.after(decide(pod, Hysteresis()))
    return {instance.number: device for instance, device in after.assignments.items()}


def test_a_slice_goes_where_there_is_room_for_its_bytes() -> None:
    devices = [ssd(FIRST, room=5), ssd(SECOND, room=20)]
    assert assigned(Pod.of(devices, [wants(0, 10)])) == {0: SECOND}
    assert assigned(Pod.of(devices, [wants(0, 21)])) == {}


def test_those_that_are_not_made_yet_count_and_those_that_are_do_not_count_twice() -> None:
    """A host says what room it has beside the slices that it has made."""
    there, made = wants(0, 60), wants(1, 40, home=FIRST)
    on_first = {there.id: FIRST, made.id: FIRST}
    pod = Pod.of([ssd(FIRST, room=60)], [there, made, wants(2, 1)], on_first)
    assert pod.room_bytes(FIRST) == 0
    assert 2 not in assigned(pod)


def test_the_emptier_of_two_idle_ssds_is_chosen_and_the_idler_of_two_empty_ones() -> None:
    fuller, emptier = ssd(FIRST, room=50), ssd(SECOND, room=80)
    assert assigned(Pod.of([fuller, emptier], [wants(0, 1, host=0)])) == {0: SECOND}
    busy = replace(ssd(FIRST), measured=900)
    assert assigned(Pod.of([busy, ssd(SECOND)], [wants(0, 1, host=0)])) == {0: SECOND}


def test_who_has_data_comes_back_to_it_however_full_or_drained_its_ssd_is() -> None:
    back = wants(0, 50, home=FIRST)
    for health in Health:
        full = replace(ssd(FIRST, room=0), health=health)
        assert assigned(Pod.of([full, ssd(SECOND)], [back])) == {0: FIRST}


def test_who_has_data_is_given_no_other_ssd_while_its_own_is_gone() -> None:
    back = wants(0, 50, home=FIRST)
    pod = Pod.of([ssd(SECOND)], [back])
    assert assigned(pod) == {}
    assert decide(pod).waiting == (back.id,)


def test_newcomers_leave_an_ssd_that_has_failed_is_drained_or_has_less_room_than_thought() -> None:
    new = wants(0, 30)
    for first in (
        replace(ssd(FIRST), health=Health.FAILED),
        replace(ssd(FIRST), health=Health.DRAINING),
        ssd(FIRST, room=20),
    ):
        assert assigned(Pod.of([first, ssd(SECOND)], [new], {new.id: FIRST})) == {0: SECOND}
        assert assigned(Pod.of([first], [new], {new.id: FIRST})) == {0: FIRST}


@unhurried
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 60), st.integers(0, 2)), max_size=8),
    st.integers(0, 100),
    st.sampled_from(Health),
)
def test_data_never_moves_and_what_is_promised_fits(
    instances: list[tuple[int, int, int]], room: int, health: Health
) -> None:
    """0: has no SSD yet, 1: was given one, 2: has data there."""
    devices = [replace(ssd(FIRST, room), health=health), ssd(SECOND, room)]
    made = [
        wants(number, size, home=devices[at].id if stage == 2 else None)
        for number, (at, size, stage) in enumerate(instances)
    ]
    given_to = {
        one.id: devices[at].id for one, (at, _, stage) in zip(made, instances, strict=True) if stage
    }
    pod = Pod.of(devices, made, given_to)
    plan = decide(pod, Hysteresis())
    after = pod.after(plan)
    for one in made:
        if one.has_data:
            assert after.assignments[one.id] == one.wish
    for move in plan.moves:
        if not pod.instances[move.instance].has_data:
            assert after.room_bytes(after.assignments[move.instance]) >= 0
            assert after.devices[move.target].health is Health.HEALTHY
    assert decide(after, Hysteresis()).moves == ()
