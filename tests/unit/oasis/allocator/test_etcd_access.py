"""A real etcd that wants a certificate, a user and a password; and files that are not right."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import ConfigError, TiermemError
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.etcd_access import EtcdAccess, read_access
from tiermem.oasis.allocator.etcd_probe import probe_etcd
from tiermem.oasis.allocator.etcd_state import EtcdState
from tiermem.oasis.allocator.pod import DeviceId
from tiermem.oasis.allocator.state_settings import StateSettings
from tiermem.service.config import validate

from tests.unit.oasis.allocator.certificates import Authority
from tests.unit.oasis.allocator.etcd_process import Etcd, is_installed
from tests.unit.oasis.allocator.hand_made import nic

PASSWORD = "of the pod"
ROLE = [
    ("/v3/auth/user/add", {"name": "root", "password": "of all"}),
    ("/v3/auth/role/add", {"name": "root"}),
    ("/v3/auth/user/grant", {"user": "root", "role": "root"}),
    ("/v3/auth/user/add", {"name": "pod", "password": PASSWORD}),
    ("/v3/auth/role/add", {"name": "pod"}),
    (
        "/v3/auth/role/grant",
        # Keys from tiermem/safe/ to just before tiermem/safe0, in base64.
        {
            "name": "pod",
            "perm": {
                "permType": "READWRITE",
                "key": "dGllcm1lbS9zYWZlLw==",
                "range_end": "dGllcm1lbS9zYWZlMA==",
            },
        },
    ),
    ("/v3/auth/user/grant", {"user": "pod", "role": "pod"}),
    ("/v3/auth/enable", {}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safe")


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Any]:
    """A host's settings."""
    authority = Authority(folder)
    authority.sign("etcd", "/CN=etcd")
    host = authority.sign("host", "/O=tiermem")
    named = authority.sign("named", "/CN=host")
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    assert named.cert.exists()
    return {
        "etcd_ca": authority.own.cert,
        "etcd_cert": host.cert,
        "etcd_key": host.key,
        "etcd_user": "pod",
        "etcd_password_file": password,
    }


@pytest.fixture(scope="module")
def etcd(folder: Path, files: dict[str, Any]) -> Iterator[Etcd]:
    if not is_installed():
        pytest.skip("needs etcd (package etcd-server)")
    tls = ssl.create_default_context(cafile=files["etcd_ca"])
    tls.load_cert_chain(files["etcd_cert"], files["etcd_key"])
    options = (
        *("--cert-file", str(folder / "etcd.pem"), "--key-file", str(folder / "etcd.key")),
        *("--bcrypt-cost", "4", "--client-cert-auth"),
        *("--trusted-ca-file", str(files["etcd_ca"])),
    )
    made = Etcd(folder, options, tls)
    for route, body in ROLE:
        made.ask(route, body)
    yield made
    made.kill()


Connect = Callable[..., EtcdState]


@pytest.fixture
def connect(etcd: Etcd, files: dict[str, Any]) -> Connect:
    """A host's state, with those changes to its settings; None: without."""

    def connected(pod: str = "safe", **changes: Any) -> EtcdState:
        access = read_access(settings_of(etcd.url, {**files, **changes}))
        return EtcdState((etcd.url,), pod, 0, 2, timeout_s=5, access=access)

    return connected


def settings_of(url: str, values: dict[str, Any]) -> StateSettings:
    given = {key: value for key, value in values.items() if value is not None}
    return validate({"state": "etcd", "etcd": [url], **given}, StateSettings, "oasis.toml")


def test_a_host_that_proves_itself_reads_and_writes_also_after_etcd_forgot_it(
    connect: Connect, etcd: Etcd
) -> None:
    with connect() as state:
        state.report(Report((nic(0),)))
        with etcd.killed():
            pass
        state.report(Report((nic(0, capacity=7),)))
        state.look(lambda: 0.0)
        (device,) = state.reports()[0].devices
        assert (device.id, device.capacity) == (DeviceId(0, 0), 7)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"etcd_user": "root"}, "authentication failed, invalid user ID or password"),
        ({"etcd_user": None, "etcd_password_file": None}, "user name is empty"),
        ({"pod": "other"}, "permission denied"),
        ({"etcd_ca": None}, "its certificate is not trusted: unable to get local issuer"),
        ({"etcd_cert": None, "etcd_key": None}, "TLS fails: .*ALERT|it may want a certificate"),
        ({"etcd_cert": "named.pem", "etcd_key": "named.key"}, "CommonName of client"),
    ],
)
def test_a_host_that_does_not_is_told_why(
    connect: Connect, etcd: Etcd, folder: Path, changes: dict[str, Any], said: str
) -> None:
    for key in ("etcd_cert", "etcd_key"):
        if changes.get(key):
            changes = {**changes, key: folder / changes[key]}
    with pytest.raises(TiermemError, match=f"^etcd at {etcd.url}: .*({said})"):
        connect(**changes)


def test_doctor_asks_as_the_host_does(etcd: Etcd, files: dict[str, Any]) -> None:
    def troubles(**changes: Any) -> tuple[str, ...]:
        return probe_etcd(settings_of(etcd.url, {**files, "pod": "safe", **changes})).troubles

    answers = probe_etcd(settings_of(etcd.url, {**files, "pod": "safe"}))
    assert answers.troubles == ()
    assert answers.versions.keys() == {etcd.url}
    assert answers.versions[etcd.url] in subprocess.check_output(["etcd", "--version"], text=True)
    (refused,) = troubles(pod="other")
    assert "permission denied" in refused
    (missing,) = troubles(etcd_key="/missing")
    assert missing == "etcd_key = /missing: cannot be read: No such file or directory"


def test_files_that_are_not_right_are_named(tmp_path: Path, files: dict[str, Any]) -> None:
    def complaint(**changes: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            read_access(settings_of("https://127.0.0.1:1", {**files, **changes}))
        return str(caught.value)

    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff")
    junk.chmod(0o644)
    missing = tmp_path / "missing"
    assert complaint(etcd_ca=missing) == f"etcd_ca = {missing}: cannot be read: " + (
        "No such file or directory"
    )
    assert "holds no certificates" in complaint(etcd_ca=junk)
    assert "are no certificate and its key" in complaint(etcd_cert=files["etcd_ca"])
    assert complaint(etcd_password_file=junk) == (
        f"etcd_password_file = {junk}: others may use it (mode 0644): chmod 600 {junk}"
    )
    junk.chmod(0o600)
    assert "must hold the password in its first line" in complaint(etcd_password_file=junk)
    if os.geteuid() == 0:
        os.chown(junk, 1, 0)
        assert "is user 1's: chown root" in complaint(etcd_password_file=junk)
    files["etcd_key"].chmod(0o640)
    assert "others may use it (mode 0640)" in complaint()
    files["etcd_key"].chmod(0o600)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in json.dumps(repr(EtcdAccess(None, "u", "secret")))
