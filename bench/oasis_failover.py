"""How long an instance is without a network when the NIC that serves it fails: bench.oasis.

A pod of three daemons on this machine (bench.oasis_pod): the switch's end of the NIC's cable
goes down, the daemon of the NIC's host is killed, or all that this host runs, by turns, under
datagrams each millisecond and a TCP connection. Then all is mended, and the next failure is the
other NIC's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import DamagedError, MissingError, NoRightError

from bench.oasis_pod import INTERFACE, OUTSIDE, Pod, answers
from bench.oasis_traffic import echoes, stream

LINK_DOWN, KILLED, HOST_KILLED = "link down", "daemon killed", "host killed"
FAILURES = (LINK_DOWN, KILLED, HOST_KILLED)
ADDRESS = "10.7.1.2"
BEFORE_S, AFTER_S = 0.2, 0.5
MENDED_S = 1.5
"""Within which an instance's host has found the new link of a NIC that is back."""


@dataclass(frozen=True)
class Failure:
    """kind: of FAILURES. udp_ms, tcp_ms: the longest time without an answer, or anything."""

    kind: str
    udp_ms: float
    tcp_ms: float


def measure(count: int, advance: Callable[[str], None]) -> list[Failure]:
    """So many failures, each kind as often. NoRightError, MissingError; DamagedError where TCP
    lost something."""
    if os.geteuid() != 0:
        raise NoRightError("failover: namespaces and TAPs need root")
    if not Path("/dev/net/tun").exists():
        raise MissingError("failover: /dev/net/tun: is not there; load the kernel module tun")
    found = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pod = Pod(Path(folder), stack)
        namespace = pod.attach(ADDRESS)
        for number in range(count):
            kind = FAILURES[number % len(FAILURES)]
            advance(f"failure {number + 1} of {count}: {kind}")
            found.append(_fail(pod, namespace, kind))
    return found


def _fail(pod: Pod, namespace: str, kind: str) -> Failure:
    name = f"{namespace}/{INTERFACE}"
    pod.until(lambda: len(pod.healthy()) == len(pod.daemons) - 1)
    time.sleep(MENDED_S)
    host = pod.served_by(name)
    assert host is not None
    with (
        echoes(namespace, pod.switch, OUTSIDE) as answered,
        stream(namespace, pod.switch, OUTSIDE) as sent,
    ):
        time.sleep(BEFORE_S)
        if kind == LINK_DOWN:
            pod.set_port(host, "down")
        elif kind == KILLED:
            pod.daemons[host].end(signal.SIGKILL)
        else:
            pod.daemons[host].end_with_its_host()
        pod.until(lambda: pod.served_by(name) == 1 - host)
        time.sleep(AFTER_S)
    if kind == LINK_DOWN:
        pod.set_port(host, "up")
    else:
        pod.start(host)
        pod.until(lambda: answers(pod.daemons[host].client))
    if sent.received != sent.wanted:
        raise DamagedError(f"failover, {kind}: what came by TCP is not what was sent")
    return Failure(kind, answered.gap_s * 1e3, sent.gap_s * 1e3)


def figures(found: Sequence[Failure]) -> dict[str, float]:
    """Of all failures, and of each kind by itself."""
    by_kind = {kind: [one for one in found if one.kind == kind] for kind in FAILURES}
    made = {
        "failover_ms_p50": statistics.median(one.udp_ms for one in found),
        "failover_ms_max": max(one.udp_ms for one in found),
        "tcp_recovery_ms_p50": statistics.median(one.tcp_ms for one in found),
    }
    for kind, some in by_kind.items():
        suffix = kind.replace(" ", "_")
        made[f"failover_ms_p50_{suffix}"] = statistics.median(one.udp_ms for one in some)
        made[f"tcp_recovery_ms_p50_{suffix}"] = statistics.median(one.tcp_ms for one in some)
    return made
