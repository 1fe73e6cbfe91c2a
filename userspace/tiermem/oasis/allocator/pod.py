"""What the allocator knows of a pod, and what it may change: values, no I/O.

Loads are in one unit a kind: bytes a second of a NIC, commands a second of an SSD. What
instances expect decides whether a device has room for one more; what telemetry measured
decides which of them is least loaded. An SSD must have room for the bytes too: its host
says what it still has, beside the slices that are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple


class Kind(IntEnum):
    """Of a device, and of what an instance wants."""

    NIC = 1
    SSD = 2


class Health(IntEnum):
    """Of a device: only a healthy one is given anything new."""

    HEALTHY = 1
    DRAINING = 2
    FAILED = 3


class DeviceId(NamedTuple):
    """The host that has it, and its number there."""

    host: int
    number: int


class InstanceId(NamedTuple):
    """The host that it runs on, and its number there."""

    host: int
    number: int


@dataclass(frozen=True, slots=True)
class Device:
    """A NIC or an SSD. backup: the NIC that is to borrow its MAC when it fails. bytes: of an
    SSD, for slices; room_bytes: the largest that can still be made."""

    id: DeviceId
    kind: Kind
    capacity: int
    health: Health = Health.HEALTHY
    measured: int = 0
    backup: DeviceId | None = None
    bytes: int = 0
    room_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """What wants one device of a kind; a program that wants two is two of these.

    wish: of a NIC's, the device that its host was asked to have it on (`tiermem oasis
    move`); of an SSD's, the one that has its data, once there is any. bytes: of its slice.
    """

    id: InstanceId
    kind: Kind
    expected: int
    wish: DeviceId | None = None
    bytes: int = 0

    @property
    def has_data(self) -> bool:
        """Whether it can be served by one device only."""
        return self.kind is Kind.SSD and self.wish is not None


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """An instance gets a device; `source` is the one it had, None at its start."""

    instance: InstanceId
    source: DeviceId | None
    target: DeviceId


@dataclass(frozen=True, slots=True, order=True)
class Loan:
    """A failed NIC's MAC is the backup's until the NIC is healthy again."""

    failed: DeviceId
    backup: DeviceId


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves in their order; `waiting`: who has no device, or stays on one to be emptied,
    because no healthy one has room."""

    moves: tuple[Move, ...] = ()
    waiting: tuple[InstanceId, ...] = ()
    loans: tuple[Loan, ...] = ()


@dataclass(frozen=True)
class Pod:
    """Devices and instances by their numbers, and who uses what."""

    devices: Mapping[DeviceId, Device]
    instances: Mapping[InstanceId, Instance]
    assignments: Mapping[InstanceId, DeviceId]
    loans: tuple[Loan, ...] = ()

    @classmethod
    def of(
        cls,
        devices: Iterable[Device],
        instances: Iterable[Instance] = (),
        assignments: Mapping[InstanceId, DeviceId] | None = None,
        loans: tuple[Loan, ...] = (),
    ) -> Pod:
        """In the order of their numbers. Assignments of instances, or to devices, that are
        not there (any more) are left out, and loans of NICs that are gone or healthy again."""
        known = {device.id: device for device in sorted(devices, key=lambda one: one.id)}
        wanting = {one.id: one for one in sorted(instances, key=lambda one: one.id)}
        valid = {
            instance: device
            for instance, device in sorted((assignments or {}).items())
            if instance in wanting
            and device in known
            and known[device].kind is wanting[instance].kind
        }
        lent = tuple(
            sorted(
                loan
                for loan in loans
                if loan.backup in known
                and loan.failed in known
                and known[loan.failed].health is not Health.HEALTHY
            )
        )
        return cls(known, wanting, valid, lent)

    @cached_property
    def _expected(self) -> dict[DeviceId, int]:
        sums = dict.fromkeys(self.devices, 0)
        for instance, device in self.assignments.items():
            sums[device] += self.instances[instance].expected
        return sums

    def expected(self, device: DeviceId) -> int:
        """What the instances that use it expect, together."""
        return self._expected[device]

    def room(self, device: DeviceId) -> int:
        """What it could still be given; below 0 when it holds more than it should."""
        return self.devices[device].capacity - self.expected(device)

    def newcomers(self, device: DeviceId) -> list[Instance]:
        """Of an SSD's users those whose slices its host may not have made yet, the largest
        first."""
        using = [one for one in self.users(device) if one.kind is Kind.SSD and not one.has_data]
        return sorted(using, key=lambda one: (-one.bytes, one.id))

    def room_bytes(self, device: DeviceId) -> int:
        """Of an SSD, the largest slice that it has room for when those are made; below 0 where
        they do not fit."""
        return self.devices[device].room_bytes - sum(one.bytes for one in self.newcomers(device))

    def users(self, device: DeviceId) -> list[Instance]:
        """The instances that use it, the largest first: what is hardest to place."""
        using = [self.instances[one] for one, at in self.assignments.items() if at == device]
        return sorted(using, key=lambda one: (-one.expected, one.id))

    def unserved(self) -> list[Instance]:
        """The instances without a device, the largest first."""
        without = [one for key, one in self.instances.items() if key not in self.assignments]
        return sorted(without, key=lambda one: (-one.expected, one.id))

    def healthy(self, kind: Kind) -> list[Device]:
        """Devices that may be given something."""
        return [
            one
            for one in self.devices.values()
            if one.kind is kind and one.health is Health.HEALTHY
        ]

    def after(self, plan: Plan) -> Pod:
        """As it is once the plan was carried out."""
        assignments = {
            **self.assignments,
            **{move.instance: move.target for move in plan.moves},
        }
        kept = {loan.failed: loan for loan in (*self.loans, *plan.loans)}
        return replace(
            self,
            assignments=dict(sorted(assignments.items())),
            loans=tuple(sorted(kept.values())),
        )
