"""The sample config of oasisd: every key, with its default; and what a wrong one is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tiermem.errors import ConfigError
from tiermem.oasis.allocator.pod import DeviceId
from tiermem.oasis.settings import NicSettings, OasisSettings
from tiermem.service.config import load, validate

SAMPLE = Path(__file__).parents[3] / "userspace/etc/oasis.toml"
PROOFS = {"etcd_ca", "etcd_cert", "etcd_key", "etcd_user", "etcd_password_file"}
NIC = '[[nic]]\ninterface = "eth1"\n'


def test_the_sample_shows_every_key_with_its_default() -> None:
    shown = tomllib.loads(SAMPLE.read_text())
    assert load(SAMPLE, OasisSettings) == OasisSettings()
    assert set(shown) == set(OasisSettings.model_fields) - {"nic", *PROOFS}
    assert set(shown["link"]) == set(OasisSettings().link.model_dump())
    assert set(shown["pace"]) == set(OasisSettings().pace.model_dump())


def test_the_sample_shows_how_a_host_proves_itself_to_etcd() -> None:
    lines = SAMPLE.read_text().splitlines()
    shown = [
        line.removeprefix("# ") for line in lines if line.startswith("# etcd_") and "=" in line
    ]
    values = tomllib.loads("\n".join(shown))
    assert set(values) == PROOFS
    validate({"state": "etcd", "etcd": ["https://e:1"], **values}, OasisSettings, "oasis.toml")


def test_the_sample_shows_how_a_nic_is_named() -> None:
    lines = [line.removeprefix("# ") for line in SAMPLE.read_text().splitlines()]
    table = "\n".join(lines[lines.index("[[nic]]") :])
    (nic,) = validate(tomllib.loads(table), OasisSettings, "oasis.toml").nic
    assert nic == NicSettings(
        interface="eth1", namespace="oasis", capacity="25Gbit", backup=DeviceId(1, 0)
    )
    assert set(tomllib.loads(table)["nic"][0]) == set(NicSettings.model_fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host = 2\nhosts = 2", "host 2 is none of a pod of 2 hosts"),
        (NIC, r"nic\.0\.capacity: is missing"),
        (NIC + "capacity = '10GB'", 'must be a bandwidth, such as "10Gbit"'),
        (NIC + "capacity = '1Gbit'\nbackup = '1'", "must be a device, as HOST/NUMBER"),
        (NIC + "capacity = '1Gbit'\nbackup = '0/0'", "NIC eth1 is named as its own backup"),
        (NIC + "capacity = '1Gbit'\nbakup = '1/0'", r"did you mean backup\?"),
        ("state = 'etcd'", 'state "etcd" needs endpoints'),
        ("state = 'etc'", "must be 'pool' or 'etcd'"),
        ("silence_ms = 1", "greater than or equal to 10"),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "oasis.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{path}: .*{said}"):
        load(path, OasisSettings)
