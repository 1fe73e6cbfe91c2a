"""Pods for tests, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from tiermem.oasis.allocator.pod import Device, DeviceId, Health, Kind, Pod

from tests.unit.oasis.allocator.hand_made import wants

HOSTS = 4

unhurried = settings(deadline=None, max_examples=60)
"""For tests with a pod: drawing one takes most of the time."""


@st.composite
def pods(draw: st.DrawFn, healths: tuple[Health, ...] = tuple(Health)) -> Pod:
    """Any; instances that have a device were given it while it was healthy and had room."""
    ids = [DeviceId(host, number) for host in range(HOSTS) for number in range(2)]
    devices = [
        Device(
            one,
            draw(st.sampled_from(Kind)),
            draw(st.integers(10, 100)),
            draw(st.sampled_from(healths)),
            draw(st.integers(0, 120)),
            draw(st.none() | st.sampled_from(ids)),
        )
        for one in draw(st.lists(st.sampled_from(ids), unique=True))
    ]
    instances = [
        wants(host, number, draw(st.integers(0, 60)), draw(st.sampled_from(Kind)))
        for number, host in enumerate(draw(st.lists(st.integers(0, HOSTS - 1), max_size=12)))
    ]
    pod = Pod.of(devices, instances)
    for instance in instances:
        fitting = [
            one.id
            for one in devices
            if one.kind is instance.kind and pod.room(one.id) >= instance.expected
        ]
        if fitting and draw(st.booleans()):
            chosen = draw(st.sampled_from(fitting))
            pod = Pod.of(devices, instances, {**pod.assignments, instance.id: chosen})
    return pod


def with_health(pod: Pod, device: DeviceId, health: Health) -> Pod:
    """The same, but for that."""
    devices = {**pod.devices, device: replace(pod.devices[device], health=health)}
    return Pod.of(devices.values(), pod.instances.values(), pod.assignments, pod.loans)
