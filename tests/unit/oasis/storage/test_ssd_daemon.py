"""oasisd of a host with an SSD, a file, asked by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.cli.oasis import app
from tiermem.errors import ConfigError, MissingError, TiermemError
from tiermem.layer.pool import create_pool
from tiermem.oasis.storage.slice_table import ALIGN, DATA_AT
from tiermem.oasis.storage.ublk import CONTROL
from tiermem.service.client import LocalClient
from typer.testing import CliRunner

from tests.unit.oasis.storage.ssd_world import until

pytestmark = pytest.mark.skipif(CONTROL.exists(), reason="the kernel's module is loaded")
CONFIG = """
hosts = 1
pool = "{0}/pool"
socket = "{0}/sock"
state_file = "{0}/state.json"
device_dir = "{0}/dev"
nice = 0
ssd_link = {{ tags = 8, buffer_bytes = 8192 }}
[[ssd]]
path = "{0}/ssd"
iops = 1000
"""


def tiermem_oasis(*words: str) -> str:
    done = CliRunner().invoke(app, [*words])
    if done.exception is not None:
        raise done.exception
    return done.output


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    folder = tmp_path_factory.mktemp("host")
    create_pool(folder / "pool", hosts=1, entries=32, size=16 << 20)
    (folder / "ssd").write_bytes(bytes(DATA_AT + 4 * ALIGN))
    assert "4.0 MiB for slices" in tiermem_oasis("format-ssd", str(folder / "ssd"))
    (folder / "oasis.toml").write_text(CONFIG.format(folder))
    command = [str(Path(sys.executable).with_name("tiermem")), "oasis", "run", "--config"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, str(folder / "oasis.toml")], stderr=log)
    made = LocalClient(folder / "sock")
    try:
        until(lambda: _answers(made), timeout_s=30)
        yield made
    finally:
        process.terminate()
        assert process.wait(30) == 0, (folder / "log").read_text()


def _answers(client: LocalClient) -> bool:
    try:
        devices = client.get("/v1/ls")["devices"]
    except TiermemError:
        return False
    return [one["health"] for one in devices] == ["healthy"]


def test_attached_shown_refused_to_move_drained_and_detached(client: LocalClient) -> None:
    socket = ("--socket", str(client.path))
    attached = tiermem_oasis(
        "attach", "--ssd", "--size", "1M", "--name", "data", "--wait", "0", *socket
    )
    assert "/dev/data  not on any SSD yet" in attached
    until(lambda: "modprobe ublk_drv" in client.get("/v1/instance", {"name": "data"})["trouble"])
    (device,) = client.get("/v1/ls")["devices"]
    assert (device["device"], device["kind"], device["bytes"]) == ("0/100", "ssd", 4 * ALIGN)
    assert "data" in tiermem_oasis("ls", *socket)
    assert "SSD" in tiermem_oasis("status", *socket)
    (held,) = json.loads(tiermem_oasis("slices", "--json", *socket))
    assert (held["instance"], held["state"]) == ("0/0", "used")
    assert held["id"] in tiermem_oasis("slices", *socket)
    with pytest.raises(TiermemError, match=r"its data is on SSD 0/100 and does not move"):
        tiermem_oasis("move", "data", "0/100", *socket)
    assert "its 1 stay, for data does not move" in tiermem_oasis("drain", "0/100", *socket)
    tiermem_oasis("drain", "0/100", "--undo", *socket)
    with pytest.raises(TiermemError, match="lives and has instance 0/0: detach it there"):
        tiermem_oasis("forget-slice", "0/100", "0/0", held["id"], *socket)
    tiermem_oasis("detach", "data", *socket)
    until(lambda: not client.get("/v1/ls")["instances"])
    until(lambda: tiermem_oasis("slices", *socket) == "no slices\n")
    metrics = client.metrics()
    assert 'tiermem_oasis_ssd_slices{device="0/100"} ' in metrics
    assert 'tiermem_oasis_ssd_commands_total{device="0/100",outcome="completed"} ' in metrics


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("attach",), ConfigError, "--nic attaches .*, --ssd"),
        (("attach", "--ssd"), ConfigError, "size: is missing"),
        (("attach", "--ssd", "--size", "much"), ConfigError, "must be a number"),
        (("attach", "--ssd", "--size", "1M", "-n", "web"), ConfigError, "option of --nic"),
        (("attach", "--ssd", "--size", "1M", "--name", "a/b"), ConfigError, "name"),
        (("detach", "nothing"), MissingError, "has none of that name"),
        (("drain", "0/107"), MissingError, "host 0 has 1 SSDs"),
        (("forget-slice", "0/100", "3/0", "ab"), MissingError, "there is none of that number"),
        (("forget-slice", "0/100", "3/0", "!"), ConfigError, "id"),
    ],
)
def test_what_cannot_be_is_told(
    client: LocalClient, words: tuple[str, ...], kind: type[TiermemError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        tiermem_oasis(*words, "--socket", str(client.path))


def test_what_is_on_an_ssd_is_lost_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "ssd"
    path.write_bytes(b"x" * (DATA_AT + ALIGN))
    with pytest.raises(TiermemError, match="something is on it"):
        tiermem_oasis("format-ssd", str(path))
    tiermem_oasis("format-ssd", str(path), "--force")
    with pytest.raises(TiermemError, match="a table with 0 slices already"):
        tiermem_oasis("format-ssd", str(path))
