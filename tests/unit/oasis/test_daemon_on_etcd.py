"""oasisd on three hosts whose pod is in a real etcd, which is stopped while they need it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.cli.oasis import app
from tiermem.oasis.allocator.leadership import LEASE_S
from typer.testing import CliRunner

from bench.oasis_pod import OUTSIDE, Pod, answers
from bench.oasis_traffic import echoes
from tests.unit.oasis.allocator.etcd_process import Etcd, is_installed

SHORT_LEASE_S = 1.0
"""A lease, after which hosts would be taken for dead anyway."""
CONFIG = """\
state = "etcd"
etcd = ["{url}"]
pod = "rack7"
lease_s = {lease_s}
"""


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    if not is_installed():
        pytest.skip("needs etcd (package etcd-server)")
    made = Etcd(tmp_path_factory.mktemp("etcd"))
    yield made
    made.kill()


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, etcd: Etcd) -> Iterator[Pod]:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("namespaces and TAPs need root and /dev/net/tun")
    with contextlib.ExitStack() as stack:
        yield Pod(
            tmp_path_factory.mktemp("pod"),
            stack,
            CONFIG.format(url=etcd.url, lease_s=SHORT_LEASE_S),
        )


def state_trouble(pod: Pod, host: int) -> str:
    return str(pod.daemons[host].client.get("/v1/status")["state_trouble"])


def is_decided(pod: Pod, name: str, host: int) -> bool:
    """Whether the leader has given the instance that host's NIC, which carries it."""
    instances = pod.client.get("/v1/ls")["instances"]
    decided = [one["device"] for one in instances if one["name"] == name]
    return decided == [f"{host}/0"] and pod.served_by(name) == host


def test_a_nic_that_fails_is_replaced(pod: Pod, web: str, name: str) -> None:
    host = pod.until(lambda: [pod.served_by(name)])[0]
    with echoes(web, pod.switch, OUTSIDE) as seen:
        pod.until(lambda: len(seen.seen_s) > 50)
        pod.set_port(host, "down")
        pod.until(lambda: is_decided(pod, name, 1 - host))
    pod.set_port(host, "up")
    print(f"UDP without an answer for {seen.gap_s * 1000:.1f} ms")
    assert seen.gap_s < LEASE_S / 2
    pod.until(lambda: len(pod.healthy()) == 2)


def test_without_etcd_all_goes_on_and_a_backup_stands_in(
    pod: Pod, web: str, name: str, etcd: Etcd
) -> None:
    """Then it is back, and the leader decides again."""
    host = pod.served_by(name)
    assert host is not None
    before = pod.client.get("/v1/status")
    with echoes(web, pod.switch, OUTSIDE) as seen:
        with etcd.stopped():
            stopped_s = time.monotonic()
            for one in range(pod.hosts):
                pod.until(lambda one=one: "no answer within 0.3 s" in state_trouble(pod, one))
            listed = CliRunner().invoke(app, ["ls", "--socket", str(pod.client.path)]).output
            assert "etcd is not reached since" in listed
            time.sleep(max(0.0, stopped_s + 2.4 * SHORT_LEASE_S - time.monotonic()))
            pod.set_port(host, "down")
            pod.until(lambda: pod.served_by(name) == 1 - host)
            assert not is_decided(pod, name, 1 - host)
            answered = len(seen.seen_s)
            pod.until(lambda: len(seen.seen_s) > answered + 50)
        pod.until(lambda: is_decided(pod, name, 1 - host))
    print(f"UDP without an answer for {seen.gap_s * 1000:.1f} ms")
    assert seen.gap_s < LEASE_S / 2
    for one in range(pod.hosts):
        pod.until(lambda one=one: state_trouble(pod, one) == "")
    after = pod.client.get("/v1/status")
    assert (after["leader"], after["term"]) == (before["leader"], before["term"])
    assert after["living"] == [0, 1, 2]
    pod.set_port(host, "up")
    pod.until(lambda: len(pod.healthy()) == 2)
    pod.client.post("/v1/move", {"instance": name, "device": f"{host}/0"})
    pod.until(lambda: is_decided(pod, name, host))


def test_a_daemon_that_finds_no_etcd_waits_for_it_and_one_that_is_refused_ends(
    pod: Pod, name: str, etcd: Etcd
) -> None:
    with etcd.stopped():
        pod.daemons[2].end(signal.SIGTERM)
        pod.start(2)
        pod.until(lambda: answers(pod.client))
        status = pod.client.get("/v1/status")
        assert "what the pod's hosts say is not known" in status["trouble"]
        assert status["state"] == "etcd"
    pod.until(lambda: pod.served_by(name) is not None)
    config = pod.folder / "oasis2.toml"
    config.write_text(config.read_text().replace("hosts = 3", "hosts = 4"))
    pod.daemons[2].end(signal.SIGTERM)
    pod.start(2)
    pod.until(pod.daemons[2].has_ended)
    assert "pod 'rack7' in etcd: is of b'3' hosts, not of 4" in pod.log(2)


def test_what_a_host_says_last_is_carried_too(pod: Pod) -> None:
    pod.daemons[0].end(signal.SIGTERM)

    def health() -> list[str]:
        listed = pod.daemons[1].client.get("/v1/ls")["devices"]
        return [one["health"] for one in listed if one["device"] == "0/0"]

    began_s = time.monotonic()
    pod.until(lambda: health() == ["failed"])
    assert time.monotonic() - began_s < SHORT_LEASE_S / 2
