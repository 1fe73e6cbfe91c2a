"""What the benchmark of Oasis makes of what it measured, and that its loads are what they say."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import DamagedError, KernelError, TiermemError
from tiermem.native._net_load import ffi, lib

from bench import channel, oasis, oasis_failover, oasis_net, oasis_storage, oasis_tables
from bench.channel_ladder import LONGEST_US
from bench.oasis_failover import FAILURES, HOST_KILLED, KILLED, LINK_DOWN, Failure
from bench.oasis_net import DIRECT, HEADLINE, NEAR, PACKETS, RELAYED, RoundTrips
from bench.oasis_parts import PARTS, Amount, Found
from bench.oasis_storage import Blocks
from bench.processors import Placement
from bench.storage_load import DirectDisk, Load, write_numbered

ROUNDS = 3


def trips(way: str, number: int, size: int, us: float) -> RoundTrips:
    return RoundTrips(way, number, size, 0.0, 1, {50: us, 90: 2 * us, 99: 3 * us})


def blocks(way: str, number: int, operation: str, us: float) -> Blocks:
    return Blocks(way, number, operation, 1, 1e6 / us, {50: us, 90: us, 99: us})


def test_what_is_added_is_a_difference_within_a_round() -> None:
    """The machine was five times slower in the second."""
    runs = [
        trips(way, number, size, slow * us)
        for number, slow in enumerate((1, 5, 1))
        for size in PACKETS
        for way, us in ((DIRECT, 11.0), (NEAR, 10.0), (RELAYED, 12.0), (HEADLINE, 14.0))
    ]
    assert oasis_net.added_us(runs, HEADLINE, (64, 0.0), 50) == 4.0
    found = oasis_net.figures(runs)
    assert (found["added_us_p50"], found["added_us_p99"]) == (4.0, 12.0)
    assert found["added_us_p50_over_direct"] == 3.0
    assert found["added_us_p50_over_relayed"] == 2.0


def test_a_figure_is_of_the_size_and_operation_for_which_most_is_added() -> None:
    runs = [
        trips(way, number, size, us + (way == HEADLINE) * size / 100)
        for number in range(ROUNDS)
        for size in PACKETS
        for way, us in ((DIRECT, 10.0), (NEAR, 12.0), (RELAYED, 15.0), (HEADLINE, 10.0))
    ]
    assert oasis_net.figures(runs)["added_us_p50"] == 15.0
    found = [
        blocks(way, number, operation, us)
        for number in range(ROUNDS)
        for operation, direct in (("read", 100.0), ("write", 50.0))
        for way, us in (
            (oasis_storage.DIRECT, direct + 5),
            (oasis_storage.AWAY, direct),
            (oasis_storage.POOLED, direct + direct / 10),
        )
    ]
    assert oasis_storage.figures(found)["storage_added_us_p50"] == 10.0
    assert oasis_storage.figures(found)["storage_added_us_mean"] == pytest.approx(10.0)


def test_failover_is_the_median_and_the_longest_of_all_and_the_median_of_each_kind() -> None:
    found = [
        Failure(kind, udp_ms, 2 * udp_ms)
        for kind, udp_ms in (
            (LINK_DOWN, 5.0),
            (KILLED, 9.0),
            (LINK_DOWN, 7.0),
            (KILLED, 90.0),
            (HOST_KILLED, 30.0),
        )
    ]
    assert oasis_failover.figures(found) == {
        "failover_ms_p50": 9.0,
        "failover_ms_max": 90.0,
        "tcp_recovery_ms_p50": 18.0,
        "failover_ms_p50_link_down": 6.0,
        "tcp_recovery_ms_p50_link_down": 12.0,
        "failover_ms_p50_daemon_killed": 49.5,
        "tcp_recovery_ms_p50_daemon_killed": 99.0,
        "failover_ms_p50_host_killed": 30.0,
        "tcp_recovery_ms_p50_host_killed": 60.0,
    }
    assert oasis_tables.failures(found).row_count == len(FAILURES)


def test_a_part_that_fails_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(amount: Amount, advance: object) -> Found:
        raise KernelError("measure it", 19)

    monkeypatch.setitem(PARTS, "net", fail)
    amount = replace(oasis.QUICK, pod_seeds=1)
    monkeypatch.setitem(PARTS, "pods", lambda *_: Found({"saved": 0.5}, [], []))
    outcome = oasis.measure(["net", "pods"], amount)
    assert outcome.failures == ["net: measure it: No such device (ENODEV)"]
    assert oasis.as_json(outcome, amount)["figures"] == {"saved": 0.5}


def test_a_latency_beyond_the_histogram_is_not_reported_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel, "measure", lambda *_: ([], []))
    late = {"channel_half_load_p50_us": LONGEST_US}
    monkeypatch.setattr(channel, "figures", lambda *_: late)
    outcome = oasis.measure(["channel"], oasis.QUICK)
    assert outcome.failures == ["channel: the machine is too busy: messages take more than 655 µs"]


def test_round_trips_are_of_messages_that_came_back_as_they_were_sent() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
    ):
        echo.bind(("127.0.0.1", 0))
        asking.connect(echo.getsockname())
        latencies_ns = np.zeros(100, np.uint32)
        target = ffi.from_buffer("uint32_t[]", latencies_ns)
        threading.Thread(target=lib.net_load_echo, args=(echo.fileno(),), daemon=True).start()
        assert lib.net_load_ask(asking.fileno(), 1472, 100, 0, target) == 0
        assert latencies_ns.all()
        assert lib.net_load_ask(asking.fileno(), 7, 1, 0, target) != 0


@pytest.mark.parametrize("is_write", [False, True])
def test_blocks_are_read_and_written_all_over_the_file(tmp_path: Path, is_write: bool) -> None:
    path = tmp_path / "disk"
    write_numbered(path, 64)
    load = Load(is_write, 8, 64, 0.05, 1)
    with DirectDisk(path) as disk:
        done = disk.run(load)
        assert done.per_s > 0
        assert (done.latencies_ns > 0).all()
        with pytest.raises(TiermemError, match="operations failed"):
            disk.run(replace(load, blocks=1 << 30, is_write=False))


def test_a_block_that_is_not_the_one_asked_for_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(64 * 4096))
    with DirectDisk(path) as disk, pytest.raises(DamagedError, match="not those that were asked"):
        disk.run(Load(False, 8, 64, 0.05, 1))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and TAPs need root")
@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="no /dev/net/tun")
def test_every_way_is_measured_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of the paces, each of which takes two processes: the one whose threads sleep.
    Threads that spin leave processors to whoever wants them, which other tests do."""
    monkeypatch.setattr(oasis_net, "PACES", {"default": oasis_net.PACES["default"]})
    monkeypatch.setattr(oasis_net, "WAYS", (*oasis_net.BASELINES, RELAYED, "default"))
    monkeypatch.setattr(oasis_net, "WARM_UP", 10)
    first, second = sorted(os.sched_getaffinity(0))[:2]
    placement = Placement(first, first, second, second, is_yielding=False)
    effort = oasis_net.Effort(rounds=1, count=20, stream_s=0.02, gaps_us=())
    told: list[str] = []
    found, streams = oasis_net.measure(placement, effort, told.append)
    assert {(one.way, one.packet_bytes) for one in found} == {
        (way, size) for way in oasis_net.WAYS for size in PACKETS
    }
    assert {(one.way, one.direction) for one in streams} == {
        (way, direction) for way in oasis_net.WAYS for direction in ("out", "in")
    }
    assert all(one.bytes_per_s > 0 for one in streams)
    assert len(told) == oasis_net.steps(effort)
    assert {first, second} <= os.sched_getaffinity(0)
