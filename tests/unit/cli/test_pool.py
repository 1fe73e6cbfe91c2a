"""`tiermem pool`, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiermem.cli.main import main
from tiermem.cli.pool import parse_size
from tiermem.errors import ConfigError
from tiermem.layer.pool import open_pool

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tiermem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Typed:
    """Runs `tiermem pool …` in this process: exit status, standard output and error."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("tiermem.layer.pool.local.default_run_dir", lambda: tmp_path / "run")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tiermem", "pool", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def pool(tmp_path: Path, tiermem: Typed) -> Path:
    made = tmp_path / "pool"
    assert tiermem("create", made, "--size", "16M", "--hosts", "2", "--entries", "8")[0] == 0
    return made


def test_what_is_put_in_is_listed_and_comes_out(tiermem: Typed, pool: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("some bytes")
    assert tiermem("put", pool, "x", source)[0] == 0
    assert tiermem("get", pool, "x", "--host", 1) == (0, "some bytes", "")
    (listed,) = json.loads(tiermem("ls", pool, "--json")[1])
    assert (listed["name"], listed["bytes"], listed["host"]) == ("x", 10, 0)
    assert "published" in tiermem("ls", pool)[1]
    assert tiermem("verify", pool)[:2] == (0, "1 extents, 0 damaged\n")
    assert tiermem("rm", pool, "x")[0] == 0
    assert tiermem("ls", pool)[1] == "no extents\n"
    assert tiermem("gc", pool, "--lease", 0.1)[1].startswith("1 extents given back")


def test_damage_is_named_and_gives_status_5(tiermem: Typed, pool: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"unmistakable")
    tiermem("put", pool, "x", source)
    content = bytearray(pool.read_bytes())
    content[content.index(b"unmistakable")] ^= 1
    pool.write_bytes(content)
    status, said, error = tiermem("verify", pool)
    assert (status, said) == (5, "1 extents, 1 damaged\n")
    assert "extent 'x' is damaged" in error
    status, said, error = tiermem("get", pool, "x")
    assert (status, said) == (5, "")
    assert "extent 'x' is damaged" in error


def test_stat_shows_hosts_and_shares(tiermem: Typed, pool: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"1" * 5000)
    tiermem("put", pool, "x", tmp_path / "source", "--host", 1)
    found = json.loads(tiermem("stat", pool, "--json")[1])
    assert [(host["state"], host["used_bytes"]) for host in found["hosts"]] == [
        ("never seen", 0),
        ("silent", 5000),
    ]
    assert "share MiB" in tiermem("stat", pool)[1]


def test_the_lease_is_the_pools(tiermem: Typed, tmp_path: Path) -> None:
    pool = tmp_path / "short"
    assert tiermem("create", pool, "--size", "8M", "--hosts", 2, "--lease", 0.5)[0] == 0
    assert json.loads(tiermem("stat", pool, "--json")[1])["lease_s"] == 0.5
    assert "lease 0.5 s" in tiermem("stat", pool)[1]
    (tmp_path / "source").write_bytes(b"1")
    tiermem("put", pool, "x", tmp_path / "source", "--host", 1)
    assert tiermem("gc", pool)[1] == "0 extents given back; dead hosts: 1\n"


def test_areas_are_called_so_and_are_never_damaged(
    tiermem: Typed, pool: Path, tmp_path: Path
) -> None:
    with open_pool(pool, 0, run_dir=tmp_path / "run") as opened:
        with opened.create_area("talk", 4096) as area:
            area.view[:1] = b"!"
        opened.publish("x", b"1")
    said = "2 extents, 0 damaged; 1 of them areas, whose bytes change\n"
    assert tiermem("verify", pool)[:2] == (0, said)
    listed = {one["name"]: one for one in json.loads(tiermem("ls", pool, "--json")[1])}
    assert (listed["talk"]["is_area"], listed["talk"]["checksum"]) == (True, None)
    assert (listed["x"]["is_area"], listed["x"]["checksum"] is None) == (False, False)
    assert " area " in tiermem("ls", pool)[1]
    host = json.loads(tiermem("stat", pool, "--json")[1])["hosts"][0]
    assert (host["used_bytes"], host["area_bytes"]) == (4097, 4096)
    status, _, error = tiermem("get", pool, "talk")
    assert (status, "'talk' is an area" in error) == (1, True)


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (("get", "POOL", "nothing"), (3, "has no extent 'nothing'")),
        (("rm", "POOL", "nothing"), (3, "has no extent 'nothing'")),
        (("get", "POOL", "x", "--host", 7), (1, "host 7: 0 to 1 is allowed")),
        (("create", "POOL"), (1, "holds a pool already; --force")),
        (("create", "NEW"), (3, "give a size")),
        (("create", "NEW", "--size", "many"), (2, "size 'many': must be a number")),
        (("ls", "NEW"), (3, "is not there")),
        (("create", "NEW", "--size", "8M", "--lease", 0), (1, "0.5 to 600 is allowed")),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tiermem: Typed, pool: Path, tmp_path: Path, words: tuple[object, ...], ends: tuple[int, str]
) -> None:
    places = {"POOL": pool, "NEW": tmp_path / "new"}
    found, out, error = tiermem(*(places.get(str(word), word) for word in words))
    assert (found, out) == (ends[0], "")
    assert ends[1] in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("2K", 2048), ("3m", 3 << 20), ("4G", 4 << 30)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "0", "1KB", "1 G"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a number"):
        parse_size(text)
