"""The sample config of oasisd: every key, with its default; and what a wrong one is told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import ConfigError
from tiermem.oasis.allocator.pod import DeviceId
from tiermem.oasis.settings import NicSettings, OasisSettings, SsdSettings
from tiermem.service.config import load, validate

SAMPLE = Path(__file__).parents[3] / "userspace/etc/oasis.toml"
SSD = '[[ssd]]\npath = "/dev/nvme0n1"\n'
PROOFS = {"etcd_ca", "etcd_cert", "etcd_key", "etcd_user", "etcd_password_file"}
NIC = '[[nic]]\ninterface = "eth1"\n'


def test_the_sample_shows_every_key_with_its_default() -> None:
    shown = tomllib.loads(SAMPLE.read_text())
    assert load(SAMPLE, OasisSettings) == OasisSettings()
    assert set(shown) == set(OasisSettings.model_fields) - {"nic", "ssd", *PROOFS}
    assert set(shown["link"]) == set(OasisSettings().link.model_dump())
    assert set(shown["pace"]) == set(OasisSettings().pace.model_dump())
    assert set(shown["ssd_link"]) == set(OasisSettings().ssd_link.model_dump())


def shown_table(name: str) -> dict[str, Any]:
    """The one that the sample shows as a comment, to its next empty line."""
    lines = [line.removeprefix("# ") for line in SAMPLE.read_text().splitlines()]
    begin = lines.index(f"[[{name}]]")
    end = lines.index("", begin) if "" in lines[begin:] else len(lines)
    return tomllib.loads("\n".join(lines[begin:end]))


def test_the_sample_shows_how_an_ssd_is_named() -> None:
    table = shown_table("ssd")
    (ssd,) = validate(table, OasisSettings, "oasis.toml").ssd
    assert ssd == SsdSettings(
        path=Path("/dev/nvme0n1"), iops=500_000, size="800G", is_write_through=True
    )
    assert ssd.size == 800 << 30
    assert set(table["ssd"][0]) == set(SsdSettings.model_fields)


def test_the_sample_shows_how_a_host_proves_itself_to_etcd() -> None:
    lines = SAMPLE.read_text().splitlines()
    shown = [
        line.removeprefix("# ") for line in lines if line.startswith("# etcd_") and "=" in line
    ]
    values = tomllib.loads("\n".join(shown))
    assert set(values) == PROOFS
    validate({"state": "etcd", "etcd": ["https://e:1"], **values}, OasisSettings, "oasis.toml")


def test_the_sample_shows_how_a_nic_is_named() -> None:
    table = shown_table("nic")
    (nic,) = validate(table, OasisSettings, "oasis.toml").nic
    assert nic == NicSettings(
        interface="eth1", namespace="oasis", capacity="25Gbit", backup=DeviceId(1, 0)
    )
    assert set(table["nic"][0]) == set(NicSettings.model_fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host = 2\nhosts = 2", "host 2 is none of a pod of 2 hosts"),
        (NIC, r"nic\.0\.capacity: is missing"),
        (NIC + "capacity = '10GB'", 'must be a bandwidth, such as "10Gbit"'),
        (NIC + "capacity = '1Gbit'\nbackup = '1'", "must be a device, as HOST/NUMBER"),
        (NIC + "capacity = '1Gbit'\nbackup = '0/0'", "NIC eth1 is named as its own backup"),
        (NIC + "capacity = '1Gbit'\nbakup = '1/0'", r"did you mean backup\?"),
        (SSD, r"ssd\.0\.iops: is missing"),
        (SSD + "iops = 1\nsize = '10 apples'", "must be a number, with K, M, G or T"),
        (2 * (SSD + "iops = 1\n"), "an SSD is named twice"),
        (17 * "[[ssd]]\npath = '/x'\niops = 1\n", "at most 16"),
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
