"""oasisd on three hosts: instances are served, moved, and go on when what serves them fails.

One pod for all tests, which leave it well: each host's daemon runs, each NIC has a link.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import NetNS
from tiermem.cli.oasis import app
from tiermem.errors import ConfigError, MissingError, NameTakenError, NoSpaceError, TiermemError
from tiermem.layer.pool import open_pool
from tiermem.layer.pool.leases import LEASE_S as POOL_LEASE_S
from tiermem.oasis.allocator.leadership import LEASE_S
from tiermem.oasis.link_areas import LinkName
from typer.testing import CliRunner

from bench.oasis_pod import OUTSIDE, Pod, answers
from bench.oasis_traffic import echoes, stream

SETTLE_S = 0.15
"""How long traffic goes on before and after something happens."""


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("namespaces and TAPs need root and /dev/net/tun")
    with contextlib.ExitStack() as stack:
        yield Pod(tmp_path_factory.mktemp("pod"), stack)


def host_of(pod: Pod, name: str) -> int:
    """Whose NIC serves it, once one does."""
    found = pod.until(lambda: [one for one in [pod.served_by(name)] if one is not None])
    return int(found[0])


def links(pod: Pod) -> list[LinkName]:
    with open_pool(pod.folder / "pool") as looker:
        parsed = [LinkName.parse(entry.name) for entry in looker.entries()]
    return [one for one in parsed if one is not None]


def lives(pod: Pod) -> list[int]:
    """Of the NICs' daemons, one for each link."""
    return [one.life for one in links(pod)]


def test_an_instance_has_a_nic_of_another_host(pod: Pod, web: str, name: str) -> None:
    with echoes(web, pod.switch, OUTSIDE) as seen:
        pod.until(lambda: len(seen.seen_s) > 50)
    listed = pod.daemons[1].client.get("/v1/ls")
    assert {one["device"]: one["health"] for one in listed["devices"]} == {
        "0/0": "healthy",
        "1/0": "healthy",
    }
    (instance,) = listed["instances"]
    assert instance["instance"] == "2/0"
    assert instance["device"] == pod.instance(name)["by"]


def test_what_is_carried_is_counted_and_told(pod: Pod, web: str, name: str) -> None:
    device = pod.instance(name)["by"]
    with echoes(web, pod.switch, OUTSIDE) as seen:
        pod.until(lambda: len(seen.seen_s) > 50)
    client = pod.client
    sample = f'tiermem_oasis_uplink_frames_total{{device="{device}",direction="tx"}} '

    def told() -> float:
        lines = [one for one in client.metrics().splitlines() if one.startswith(sample)]
        return float(lines[0].removeprefix(sample)) if lines else 0.0

    pod.until(lambda: told() >= 50)
    leader = client.get("/v1/status")["leader"]
    assert leader in range(pod.hosts)
    assert f"tiermem_oasis_leader {leader}.0" in client.metrics()


def test_a_nic_that_loses_its_link_is_replaced_by_its_backup(pod: Pod, web: str, name: str) -> None:
    """Before anybody's lease is over; TCP goes on by itself."""
    host = host_of(pod, name)
    with echoes(web, pod.switch, OUTSIDE) as seen, stream(web, pod.switch, OUTSIDE) as sent:
        time.sleep(SETTLE_S)
        pod.set_port(host, "down")
        pod.until(lambda: pod.served_by(name) == 1 - host)
        time.sleep(SETTLE_S)
    pod.set_port(host, "up")
    print(f"UDP without an answer for {seen.gap_s * 1000:.1f} ms")
    assert seen.gap_s < LEASE_S / 2
    assert sent.bytes > 0
    assert sent.received == sent.wanted
    loans = pod.client.get("/v1/ls")["loans"]
    assert loans in ([], [{"failed": f"{host}/0", "backup": f"{1 - host}/0"}])


def test_so_is_one_whose_daemon_is_killed_also_where_it_led_the_pod(
    pod: Pod, web: str, name: str
) -> None:
    """Who leads next is decided long after; and the next daemon of the host lends its NIC."""
    leader = pod.client.get("/v1/status")["leader"]
    host = 0 if leader == pod.without_nic else leader
    move(pod, name, host)
    pod.until(lambda: len(links(pod)) == 2)
    with echoes(web, pod.switch, OUTSIDE) as seen, stream(web, pod.switch, OUTSIDE) as sent:
        time.sleep(SETTLE_S)
        pod.daemons[host].end(signal.SIGKILL)
        pod.until(lambda: pod.served_by(name) == 1 - host)
        time.sleep(SETTLE_S)
    print(f"UDP without an answer for {seen.gap_s * 1000:.1f} ms")
    assert seen.gap_s < LEASE_S / 2
    assert sent.received == sent.wanted
    before = {one.life for one in links(pod) if one.device.host == host}
    assert len(before) == 1
    pod.start(host)
    pod.until(lambda: answers(pod.daemons[host].client))
    # Of two NICs, each with a link to the one host that has instances, none is left over.
    pod.until(lambda: before.isdisjoint(now := lives(pod)) and len(now) == 2)


def test_a_host_that_stands_still_is_left_and_may_come_back(pod: Pod, web: str, name: str) -> None:
    host = host_of(pod, name)
    stopped = pod.daemons[host].pid
    with echoes(web, pod.switch, OUTSIDE) as seen, stream(web, pod.switch, OUTSIDE) as sent:
        time.sleep(SETTLE_S)
        os.kill(stopped, signal.SIGSTOP)
        try:
            pod.until(lambda: pod.served_by(name) == 1 - host)
            time.sleep(SETTLE_S)
        finally:
            os.kill(stopped, signal.SIGCONT)
    print(f"UDP without an answer for {seen.gap_s * 1000:.1f} ms")
    assert seen.gap_s < LEASE_S / 2
    assert sent.received == sent.wanted
    assert f"NIC {host}/0, from here: its host does not answer" in pod.log(pod.without_nic)
    pod.until(lambda: len(pod.healthy()) == 2)


def test_hosts_that_others_took_for_dead_end_and_are_started_anew(
    pod: Pod, web: str, name: str
) -> None:
    """One has the instance, one the NIC that serves it: what they held may be others' now."""
    silent = (host_of(pod, name), pod.without_nic)
    for host in silent:
        os.kill(pod.daemons[host].pid, signal.SIGSTOP)
    time.sleep(POOL_LEASE_S + 0.5)
    for host in silent:
        os.kill(pod.daemons[host].pid, signal.SIGCONT)
    for host in silent:
        pod.until(pod.daemons[host].has_ended)
        assert "this daemon ends, to be started again" in pod.log(host)
        pod.start(host)
    pod.until(lambda: all(answers(pod.daemons[host].client) for host in silent))
    host_of(pod, name)
    with echoes(web, pod.switch, OUTSIDE) as seen:
        pod.until(lambda: len(seen.seen_s) > 50)
    pod.until(lambda: len(pod.healthy()) == 2)


def test_an_instance_is_moved_and_stays_where_it_was_asked_to_be(pod: Pod, name: str) -> None:
    host = host_of(pod, name)
    for target in (1 - host, host):
        move(pod, name, target)
    with pytest.raises(TiermemError, match="the pod has no such device"):
        pod.client.post("/v1/move", {"instance": name, "device": "1/7"})
    pod.client.post("/v1/move", {"instance": name, "device": None})


def move(pod: Pod, name: str, host: int) -> None:
    pod.until(lambda: f"{host}/0" in pod.healthy())
    pod.client.post("/v1/move", {"instance": name, "device": f"{host}/0"})
    pod.until(lambda: pod.served_by(name) == host)


def test_a_nic_is_drained_by_its_own_host(pod: Pod, name: str) -> None:
    host = host_of(pod, name)
    device = f"{host}/0"
    pod.until(lambda: len(pod.healthy()) == 2)
    with pytest.raises(ConfigError, match=f"is host {host}'s; this is host 2: ask there"):
        pod.client.post("/v1/drain", {"device": device})
    pod.daemons[host].client.post("/v1/drain", {"device": device})
    pod.until(lambda: pod.served_by(name) == 1 - host)
    pod.daemons[host].client.post("/v1/drain", {"device": device, "undo": True})
    pod.until(lambda: len(pod.healthy()) == 2)


def test_a_nic_that_goes_and_comes_back_is_lent_again(pod: Pod, name: str) -> None:
    host = host_of(pod, name)
    pod.rename_nic(host, "nic0", "elsewhere")
    pod.until(lambda: pod.served_by(name) == 1 - host)
    pod.rename_nic(host, "elsewhere", "nic0")
    move(pod, name, host)
    pod.client.post("/v1/move", {"instance": name, "device": None})


def test_the_command_line_attaches_shows_and_detaches(pod: Pod, web: str) -> None:
    def tiermem_oasis(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--socket", str(pod.client.path)])
        assert done.exception is None, done.exception
        return done.output

    attached = tiermem_oasis("attach", "--nic", "--namespace", web, "--name", "second")
    assert f"{web}/second" in attached
    assert "carried by NIC" in attached
    devices, _, instances = tiermem_oasis("ls").partition("instance ")
    assert "0/0" in devices
    assert "2/1" in instances
    assert "ready" in instances
    (_, second) = json.loads(tiermem_oasis("ls", "--json"))["instances"]
    assert second["is_ready"]
    assert "leader" in tiermem_oasis("status")
    tiermem_oasis("detach", f"{web}/second")
    assert "2/1" not in tiermem_oasis("ls")


def test_an_interface_outlives_its_daemon_with_its_address(pod: Pod, web: str, name: str) -> None:
    with stream(web, pod.switch, OUTSIDE) as sent:
        time.sleep(SETTLE_S)
        pod.daemons[2].end(signal.SIGKILL)
        pod.start(2)
        pod.until(lambda: answers(pod.client))
        pod.until(lambda: pod.served_by(name) is not None)
    assert sent.received == sent.wanted
    pod.until(lambda: len(links(pod)) == 2)


def test_what_cannot_be_is_told_and_leaves_nothing(pod: Pod, web: str) -> None:
    client = pod.client
    for body, kind, said in (
        ({"namespace": web}, NameTakenError, "has an interface of that name"),
        ({"namespace": "no-such"}, MissingError, "no such network namespace"),
        ({"namespace": web, "name": "x", "mac": "00:11:22:33:44:55"}, ConfigError, "second digit"),
        ({"namespace": web, "name": "x", "mac": "01"}, TiermemError, "is no MAC address"),
        ({"namespace": web, "expected": "fast"}, ConfigError, "must be a bandwidth"),
    ):
        expected = kind if kind in (ConfigError, MissingError, NoSpaceError) else TiermemError
        with pytest.raises(expected, match=said):
            client.post("/v1/attach", body)
    with pytest.raises(MissingError, match="instance nothing: host 2 has none of that name"):
        client.post("/v1/detach", {"instance": "nothing"})
    assert len(client.get("/v1/ls")["instances"]) == 1


def test_a_second_daemon_of_a_host_is_refused_and_disturbs_nobody(pod: Pod, name: str) -> None:
    first = pod.daemons[1]
    pod.start(1)
    pod.until(pod.daemons[1].has_ended)
    pod.daemons[1] = first
    assert "another daemon is listening there" in pod.log(1)
    assert answers(first.client)
    assert host_of(pod, name) in (0, 1)


def test_it_leaves_the_system_as_it_was_found(pod: Pod, web: str) -> None:
    for daemon in pod.daemons.values():
        daemon.end(signal.SIGTERM)
    assert links(pod) == []
    with NetNS(web) as inner:
        assert [one.get("ifname") for one in inner.get_links()] == ["lo"]
    assert not list(pod.folder.glob("*.sock"))
