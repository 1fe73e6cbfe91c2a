"""Devices and instances made by hand: apart from those that hypothesis draws (`pods`), for
processes that tests start would wait a second each for its import."""

from __future__ import annotations

from tiermem.oasis.allocator.pod import Device, DeviceId, Instance, InstanceId, Kind


def nic(host: int, number: int = 0, capacity: int = 100) -> Device:
    return Device(DeviceId(host, number), Kind.NIC, capacity)


def wants(host: int, number: int, expected: int, kind: Kind = Kind.NIC) -> Instance:
    return Instance(InstanceId(host, number), kind, expected)
