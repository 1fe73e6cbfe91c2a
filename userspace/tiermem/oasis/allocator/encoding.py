"""Reports and tables as bytes of rows (native/allocator_layout.h), and what is refused.

What another host wrote is checked before any of it is used: counts and lengths, numbers
within their limits, none twice, kinds that there are, a term that is its writer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiermem.errors import DamagedError, NoSpaceError
from tiermem.native._allocator import ffi, lib
from tiermem.native.struct_dtype import struct_dtype
from tiermem.oasis.allocator.leadership import Table, leader_of
from tiermem.oasis.allocator.pod import (
    Device,
    DeviceId,
    Health,
    Instance,
    InstanceId,
    Kind,
    Loan,
)

DEVICES_MAX = int(lib.ALLOCATOR_DEVICES_MAX)
INSTANCES_MAX = int(lib.ALLOCATOR_INSTANCES_MAX)
UNREACHABLE_MAX = int(lib.ALLOCATOR_UNREACHABLE_MAX)
NOWHERE = DeviceId(int(lib.ALLOCATOR_NO_HOST), 0)
# So that a claim has room above what anybody says.
TERM_MAX = 1 << 62

_REPORT = struct_dtype(ffi, "allocator_report")
_DEVICE = struct_dtype(ffi, "allocator_device")
_INSTANCE = struct_dtype(ffi, "allocator_instance")
_UNREACHABLE = struct_dtype(ffi, "allocator_unreachable")
_TABLE = struct_dtype(ffi, "allocator_table")
_ASSIGNMENT = struct_dtype(ffi, "allocator_assignment")
_LOAN = struct_dtype(ffi, "allocator_loan")

REPORT_BYTES_MAX = (
    _REPORT.itemsize
    + DEVICES_MAX * _DEVICE.itemsize
    + INSTANCES_MAX * _INSTANCE.itemsize
    + UNREACHABLE_MAX * _UNREACHABLE.itemsize
)


def table_bytes_max(hosts: int) -> int:
    """What a table of all that so many hosts may have takes."""
    return _TABLE.itemsize + hosts * (
        INSTANCES_MAX * _ASSIGNMENT.itemsize + DEVICES_MAX * _LOAN.itemsize
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What a host says: its devices, the instances that run on it, which devices of others
    do not answer it, and a number that is another each time its daemon starts."""

    devices: tuple[Device, ...] = ()
    instances: tuple[Instance, ...] = ()
    unreachable: tuple[DeviceId, ...] = ()
    life: int = 0


def encode_report(report: Report) -> bytes:
    """NoSpaceError where it is more than a host may have."""
    for what, count, most in (
        ("devices", len(report.devices), DEVICES_MAX),
        ("instances", len(report.instances), INSTANCES_MAX),
        ("unreachable devices", len(report.unreachable), UNREACHABLE_MAX),
    ):
        if count > most:
            raise NoSpaceError(f"{count} {what} of one host: at most {most} are allowed")
    devices = [
        (
            one.id.number,
            one.kind,
            one.health,
            *(one.backup or NOWHERE),
            one.capacity,
            one.measured,
            one.bytes,
            one.room_bytes,
        )
        for one in report.devices
    ]
    instances = [
        (one.id.number, one.kind, 0, *(one.wish or NOWHERE), one.expected, one.bytes)
        for one in report.instances
    ]
    unreachable = [(*one, 0) for one in report.unreachable]
    head = (len(devices), len(instances), len(unreachable), 0, report.life)
    return b"".join(
        (
            np.array([head], _REPORT).tobytes(),
            np.array(devices, _DEVICE).tobytes(),
            np.array(instances, _INSTANCE).tobytes(),
            np.array(unreachable, _UNREACHABLE).tobytes(),
        )
    )


def decode_report(host: int, data: bytes) -> Report:
    """What `host` has written. DamagedError."""
    where = f"the report of host {host}"
    head, rest = _head(where, data, _REPORT)
    rows, rest = _rows(where, rest, _DEVICE, int(head["devices"]), DEVICES_MAX)
    wanting, rest = _rows(where, rest, _INSTANCE, int(head["instances"]), INSTANCES_MAX)
    silent, rest = _rows(where, rest, _UNREACHABLE, int(head["unreachable"]), UNREACHABLE_MAX)
    if rest:
        raise DamagedError(f"{where}: has {len(rest)} bytes too many")
    try:
        devices = tuple(_device(host, row) for row in rows)
        instances = tuple(_instance(host, row) for row in wanting)
    except ValueError as error:
        raise DamagedError(f"{where}: {error}") from None
    _refuse_twice(where, [one.id for one in devices])
    _refuse_twice(where, [one.id for one in instances])
    unreachable = tuple(DeviceId(*row[:2]) for row in silent.tolist())
    _refuse_twice(where, unreachable)
    return Report(devices, instances, unreachable, int(head["life"]))


def _device(host: int, row: Any) -> Device:
    return Device(
        DeviceId(host, int(row["number"])),
        Kind(row["kind"]),
        int(row["capacity"]),
        Health(row["health"]),
        int(row["measured"]),
        _somewhere(row["backup_host"], row["backup_number"]),
        int(row["bytes"]),
        int(row["room_bytes"]),
    )


def _instance(host: int, row: Any) -> Instance:
    return Instance(
        InstanceId(host, int(row["number"])),
        Kind(row["kind"]),
        int(row["expected"]),
        _somewhere(row["wish_host"], row["wish_number"]),
        int(row["bytes"]),
    )


def _somewhere(host: int, number: int) -> DeviceId | None:
    return None if host == NOWHERE.host else DeviceId(int(host), int(number))


def encode_table(table: Table) -> bytes:
    """As it lies in a row."""
    head = (
        *(table.term, table.decided_term, table.version),
        *(len(table.assignments), len(table.loans)),
    )
    assignments = [(*instance, *device) for instance, device in table.assignments]
    loans = [(*loan.failed, *loan.backup) for loan in table.loans]
    return b"".join(
        (
            np.array([head], _TABLE).tobytes(),
            np.array(assignments, _ASSIGNMENT).tobytes(),
            np.array(loans, _LOAN).tobytes(),
        )
    )


def decode_table(host: int, hosts: int, data: bytes) -> Table:
    """What `host` of so many has written. DamagedError."""
    where = f"the table of host {host}"
    head, rest = _head(where, data, _TABLE)
    term, decided_term = int(head["term"]), int(head["decided_term"])
    if leader_of(term) != host or not decided_term <= term < TERM_MAX:
        raise DamagedError(f"{where}: term {term} of {decided_term} cannot be its")
    rows, rest = _rows(where, rest, _ASSIGNMENT, int(head["assignments"]), hosts * INSTANCES_MAX)
    lent, rest = _rows(where, rest, _LOAN, int(head["loans"]), hosts * DEVICES_MAX)
    if rest:
        raise DamagedError(f"{where}: has {len(rest)} bytes too many")
    assignments = tuple((InstanceId(*row[:2]), DeviceId(*row[2:])) for row in rows.tolist())
    loans = tuple(Loan(DeviceId(*row[:2]), DeviceId(*row[2:])) for row in lent.tolist())
    _refuse_twice(where, [instance for instance, _ in assignments])
    _refuse_twice(where, [loan.failed for loan in loans])
    return Table(term, decided_term, int(head["version"]), assignments, loans)


def _head(where: str, data: bytes, dtype: np.dtype[np.void]) -> tuple[Any, bytes]:
    if len(data) < dtype.itemsize:
        raise DamagedError(f"{where}: has {len(data)} bytes, {dtype.itemsize} is the least")
    return np.frombuffer(data, dtype, 1)[0], data[dtype.itemsize :]


def _rows(
    where: str, data: bytes, dtype: np.dtype[np.void], count: int, most: int
) -> tuple[Any, bytes]:
    size = count * dtype.itemsize
    if count > most or size > len(data):
        raise DamagedError(
            f"{where}: says {count} entries where there are at most "
            f"{min(most, len(data) // dtype.itemsize)}"
        )
    return np.frombuffer(data, dtype, count), data[size:]


def _refuse_twice(where: str, ids: Sequence[object]) -> None:
    if len(set(ids)) != len(ids):
        raise DamagedError(f"{where}: names something twice")
