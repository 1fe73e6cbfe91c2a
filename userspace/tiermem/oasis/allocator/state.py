"""What the hosts of a pod tell each other, as it lies in an area of the pool.

Each host has two rows there that it alone writes: its report (devices, telemetry and
instances) and its table (its claim to lead, and what it decided). There is nothing that
two hosts write. What is damaged or of no honest host is counted and not used; what its
host said before is, until it says something else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar

import numpy as np

from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.layer.pool import Area
from tiermem.native._allocator import ffi, lib
from tiermem.native.struct_dtype import struct_dtype
from tiermem.oasis.allocator.encoding import (
    REPORT_BYTES_MAX,
    Report,
    decode_report,
    decode_table,
    encode_report,
    encode_table,
    table_bytes_max,
)
from tiermem.oasis.allocator.leadership import Look, Table
from tiermem.oasis.row import Row, RowMemory, copy_bytes_for

HOSTS_MAX = int(lib.ALLOCATOR_HOSTS_MAX)
REPORT_S = 0.1
"""How often a host says how it is: as often as in Oasis (SOSP 2025). Also its heartbeat."""

Known = TypeVar("Known", Report, Table)

_MAGIC = 0x636F6C6C61737472  # "rtsalloc"
_HEADER = struct_dtype(ffi, "allocator_header")
_HEADER_COPY_BYTES = copy_bytes_for(_HEADER.itemsize)


def state_bytes(hosts: int) -> int:
    """How large the area of a pod is. TiermemError where there is no such pod."""
    if not 1 <= hosts <= HOSTS_MAX:
        raise TiermemError(f"a pod of {hosts} hosts: 1 to {HOSTS_MAX} are allowed")
    return _block_at(hosts, hosts)


def _block_at(host: int, hosts: int) -> int:
    block = 2 * (copy_bytes_for(REPORT_BYTES_MAX) + copy_bytes_for(table_bytes_max(hosts)))
    return int(lib.ALLOCATOR_HOSTS_AT) + host * block


def format_state(area: Area, hosts: int) -> None:
    """Begin a pod's state in a new area: one host, once in the area's life. TiermemError."""
    if area.bytes < state_bytes(hosts):
        raise TiermemError(
            f"area {area.entry.name!r} of {area.bytes} bytes: a pod of {hosts} hosts takes "
            f"{state_bytes(hosts)}"
        )
    with RowMemory(area) as memory:
        header = np.array([(_MAGIC, lib.ALLOCATOR_VERSION, hosts)], _HEADER)
        Row(memory, 0, _HEADER_COPY_BYTES).publish(header.tobytes())


class PodState:
    """All hosts' rows, as one host reads them and writes its own; for one thread.

    refused: how often a row was found that no honest host writes, or a damaged one.
    """

    def __init__(self, area: Area, host: int) -> None:
        """MissingError where the area holds no state of a pod with that host."""
        self.host = host
        self.refused = 0
        self._memory = RowMemory(area)
        try:
            self.hosts = self._read_header(area)
            self._reports = [Row(self._memory, *self._report_at(one)) for one in range(self.hosts)]
            self._tables = [Row(self._memory, *self._table_at(one)) for one in range(self.hosts)]
        except TiermemError:
            self._memory.close()
            raise
        self._known_reports: dict[int, tuple[int, Report]] = {}
        self._known_tables: dict[int, tuple[int, Table]] = {}

    def _read_header(self, area: Area) -> int:
        said = Row(self._memory, 0, _HEADER_COPY_BYTES).read()
        is_header = said is not None and len(said.data) == _HEADER.itemsize
        magic, version, hosts = (
            np.frombuffer(said.data, _HEADER)[0].tolist() if said and is_header else (0, 0, 0)
        )
        if (magic, version) != (_MAGIC, lib.ALLOCATOR_VERSION):
            raise MissingError(f"area {area.entry.name!r}: holds no allocator's state")
        if not (0 <= self.host < hosts <= HOSTS_MAX and area.bytes >= state_bytes(hosts)):
            raise MissingError(
                f"area {area.entry.name!r}: is of a pod of {hosts} hosts, without one {self.host}"
            )
        return int(hosts)

    def _report_at(self, host: int) -> tuple[int, int]:
        return _block_at(host, self.hosts), copy_bytes_for(REPORT_BYTES_MAX)

    def _table_at(self, host: int) -> tuple[int, int]:
        at, copy_bytes = self._report_at(host)
        return at + 2 * copy_bytes, copy_bytes_for(table_bytes_max(self.hosts))

    @property
    def torn(self) -> int:
        """How many half-written copies were seen, and passed over."""
        return sum(row.torn for row in (*self._reports, *self._tables))

    def report(self, report: Report) -> None:
        """Say how this host is, and that it lives. NoSpaceError."""
        self._reports[self.host].publish(encode_report(report))

    def publish(self, table: Table) -> None:
        """Say what this host claims or has decided."""
        self._tables[self.host].publish(encode_table(table))

    def reports(self) -> dict[int, Report]:
        """Of the hosts that have ever said something, as of the last `look`."""
        return {host: report for host, (_, report) in self._known_reports.items()}

    def look(self, clock: Callable[[], float]) -> Look:
        """Read all rows; with when that began and ended, by this host's clock, in seconds."""
        began_s = clock()
        for host in range(self.hosts):
            self._read(host, self._reports[host], self._known_reports, decode_report)
            self._read(host, self._tables[host], self._known_tables, self._decode_table)
        return Look(
            began_s,
            clock(),
            {host: sequence for host, (sequence, _) in self._known_reports.items()},
            {host: table for host, (_, table) in self._known_tables.items()},
        )

    def _decode_table(self, host: int, data: bytes) -> Table:
        return decode_table(host, self.hosts, data)

    def _read(
        self,
        host: int,
        row: Row,
        known: dict[int, tuple[int, Known]],
        decode: Callable[[int, bytes], Known],
    ) -> None:
        """Note what the host says, where that is another than before and can be used."""
        before = known.get(host)
        if row.newest() == (before[0] if before else 0):
            return
        try:
            said = row.read()
            if said is not None:
                known[host] = said.sequence, decode(host, said.data)
        except DamagedError:
            self.refused += 1

    def close(self) -> None:
        """Do not use it any more; before the area is closed."""
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
