"""What the hosts of a pod tell each other, as keys of an etcd cluster.

For pods whose pool has no room for it, or whose state is to outlive the pool: what `state`
has as rows of an area is here in keys, with the same bytes, one writer each, and the same
`Member` on top.

    tiermem/POD/hosts           how many hosts the pod has, in decimal
    tiermem/POD/report/HOST     the host's report; its revision is the heartbeat
    tiermem/POD/table/HOST      the host's claim to lead, or what it decided

A host reads all of them at one moment, by one transaction. It writes its own on the condition
that they are as it left them, so that a write which was given up for lack of an answer
cannot come late, over a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from tiermem.errors import (
    ConfigError,
    DamagedError,
    MissingError,
    NameTakenError,
    TiermemError,
)
from tiermem.oasis.allocator.encoding import (
    Report,
    decode_report,
    decode_table,
    encode_report,
    encode_table,
)
from tiermem.oasis.allocator.etcd_access import ANYBODY, EtcdAccess
from tiermem.oasis.allocator.etcd_client import EtcdClient, Value, Write
from tiermem.oasis.allocator.leadership import Look, Table
from tiermem.oasis.allocator.state import HOSTS_MAX
from tiermem.oasis.allocator.state_settings import TIMEOUT_S

_TRIES = 3

Known = TypeVar("Known", Report, Table)


def _prefix(pod: str) -> bytes:
    return f"tiermem/{pod}/".encode()


def hosts_key(pod: str) -> bytes:
    """The key that says how many hosts a pod has."""
    return _prefix(pod) + b"hosts"


class EtcdState:
    """All hosts' keys, as one host reads them and writes its own; for one thread.

    refused: how often a value was found that no honest host writes. Every call may fail with
    MissingError, TimeoutExpiredError or TiermemError while the cluster cannot be reached or
    has no majority; the next one goes on where it was.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        pod: str,
        host: int,
        hosts: int,
        *,
        timeout_s: float = TIMEOUT_S,
        access: EtcdAccess = ANYBODY,
    ) -> None:
        """ConfigError where the pod is one of another number of hosts."""
        if not 0 <= host < hosts <= HOSTS_MAX:
            raise MissingError(f"pod {pod!r} of {hosts} hosts: has no host {host}")
        self.host, self.hosts = host, hosts
        self.refused = 0
        self._prefix = _prefix(pod)
        self._client = EtcdClient(endpoints, timeout_s, access)
        self._revisions: dict[bytes, int] = {}
        self._reports: dict[int, tuple[int, Report]] = {}
        self._tables: dict[int, tuple[int, Table]] = {}
        self._seen: dict[bytes, int] = {}
        try:
            self._agree_on_hosts(pod)
        except TiermemError:
            self._client.close()
            raise

    def _agree_on_hosts(self, pod: str) -> None:
        wanted = str(self.hosts).encode()
        answer = self._client.write(Write(hosts_key(pod), wanted, 0))
        found = None if answer.is_written else answer.values[0]
        if found and found.data != wanted:
            raise ConfigError(
                f"pod {pod!r} in etcd: is of {found.data[:8]!r} hosts, not of {self.hosts}"
            )

    def _report_key(self, host: int) -> bytes:
        return self._prefix + b"report/%d" % host

    def _table_key(self, host: int) -> bytes:
        return self._prefix + b"table/%d" % host

    def report(self, report: Report) -> None:
        """Say how this host is, and that it lives. NoSpaceError, and see the class."""
        self._write(self._report_key(self.host), encode_report(report))

    def publish(self, table: Table) -> None:
        """Say what this host claims or has decided. See the class."""
        self._write(self._table_key(self.host), encode_table(table))

    def _write(self, key: bytes, data: bytes) -> None:
        for _ in range(_TRIES):
            answer = self._client.write(Write(key, data, self._revisions.get(key, 0)))
            if answer.is_written:
                self._revisions[key] = answer.revision
                return
            # An earlier life of this host wrote it, or a write that was given up.
            (found,) = answer.values
            self._revisions[key] = found.revision if found else 0
        raise NameTakenError(f"etcd key {key.decode()}: somebody else writes it too")

    def reports(self) -> dict[int, Report]:
        """Of the hosts that have ever said something, as of the last `look`."""
        return {host: report for host, (_, report) in self._reports.items()}

    def look(self, clock: Callable[[], float]) -> Look:
        """Read all; with when that began and ended, by this host's clock, in seconds."""
        began_s = clock()
        hosts = range(self.hosts)
        keys = [
            *(self._report_key(host) for host in hosts),
            *(self._table_key(host) for host in hosts),
        ]
        values = self._client.read(keys).values
        ended_s = clock()
        found = dict(zip(keys, values, strict=True))
        for host in hosts:
            self._note(host, self._report_key(host), found, self._reports, decode_report)
            self._note(host, self._table_key(host), found, self._tables, self._decode_table)
        return Look(
            began_s,
            ended_s,
            {host: revision for host, (revision, _) in self._reports.items()},
            {host: table for host, (_, table) in self._tables.items()},
        )

    def _decode_table(self, host: int, data: bytes) -> Table:
        return decode_table(host, self.hosts, data)

    def _note(
        self,
        host: int,
        key: bytes,
        found: dict[bytes, Value | None],
        known: dict[int, tuple[int, Known]],
        decode: Callable[[int, bytes], Known],
    ) -> None:
        """What the host says, where that is another than before and can be used."""
        value = found[key]
        if value is None or self._seen.get(key) == value.revision:
            return
        self._seen[key] = value.revision
        try:
            known[host] = value.revision, decode(host, value.data)
        except DamagedError:
            self.refused += 1

    def close(self) -> None:
        """Do not use it any more."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
