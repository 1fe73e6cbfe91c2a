"""A config file is either a frozen model or one line that says what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator
from tiermem.errors import ConfigError
from tiermem.service.config import Settings, load, parse_value, validate, with_change


class Elector(Settings):
    power: Annotated[float, Field(ge=0, le=10)] = 3.0
    mode: Literal["frequency", "fixed"] = "frequency"


class Tracker(Settings):
    kind: str
    entries: Annotated[int, Field(ge=1)] = 25


class Daemon(Settings):
    rate_MBps: Annotated[int, Field(ge=0)] = 200  # noqa: N815
    dry_run: bool = False
    elector: Elector = Elector()
    trackers: tuple[Tracker, ...] = ()
    scope: Elector | None = None
    socket: Path = Path("/run/x.sock")

    @field_validator("rate_MBps")
    @classmethod
    def _not_unlucky(cls, value: int) -> int:
        if value == 13:
            raise ValueError("13 is not allowed")
        return value


def _load(tmp_path: Path, text: str) -> Daemon:
    path = tmp_path / "m5.toml"
    path.write_text(text)
    return load(path, Daemon)


def _error(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.exit_code == 2
    assert line.startswith(f"{tmp_path / 'm5.toml'}: ")
    return line.split(": ", 1)[1]


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert _load(tmp_path, "") == Daemon()


def test_values_reach_nested_tables(tmp_path: Path) -> None:
    loaded = _load(tmp_path, 'rate_MBps = 5\n[elector]\npower = 2\n[[trackers]]\nkind = "hpt"\n')
    assert (loaded.rate_MBps, loaded.elector.power) == (5, 2.0)
    assert loaded.trackers == (Tracker(kind="hpt"),)


def test_a_loaded_config_cannot_be_changed_in_place(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        _load(tmp_path, "").dry_run = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[elector]\npower = 11", "elector.power = 11: must be less than or equal to 10"),
        ('[elector]\nmode = "x"', "elector.mode = \"x\": must be 'frequency' or 'fixed'"),
        ("elector = 1", "elector = 1: must be a table for Elector"),
        ("socket = 3", "socket = 3: must be a path, written as a string"),
        ("rate_MBps = 13", "rate_MBps = 13: 13 is not allowed"),
        ("rate_Mbps = 3", "rate_Mbps: is not a key; did you mean rate_MBps?"),
        ('"list[x]" = 3', "list[x]: is not a key; allowed here: dry_run, elector"),
        ("[elector]\npowr = 1", "elector.powr: is not a key; did you mean power?"),
        ("[elector]\nzzz = 1", "elector.zzz: is not a key; allowed here: mode, power"),
        ("[scope]\npwer = 1", "scope.pwer: is not a key; did you mean power?"),
        ("[[trackers]]\nentries = 1", "trackers.0.kind: is missing and has no default"),
        (
            '[[trackers]]\nkind = "a"\nentrys = 1',
            "trackers.0.entrys: is not a key; did you mean entries?",
        ),
        ("dry_run = 7\nrate_MBps = -1", "rate_MBps = -1: must be greater than or equal to 0"),
    ],
)
def test_a_wrong_key_or_value_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert _error(tmp_path, text).startswith(line)


def test_more_than_one_mistake_is_counted(tmp_path: Path) -> None:
    assert _error(tmp_path, "a = 1\nb = 1\nc = 1").endswith("(and 2 more)")


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    assert len(_error(tmp_path, f'rate_MBps = "{"x" * 5000}"')) < 200


def test_text_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    assert "is not TOML" in _error(tmp_path, "a = = 1")
    assert "line 2" in _error(tmp_path, "a = 1\nb = = 2")


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "m5.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "m5.toml", Daemon)


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", Daemon)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, Daemon)


def test_a_change_gives_a_validated_copy() -> None:
    before = Daemon(trackers=(Tracker(kind="hpt"),))
    after = with_change(before, "elector.power", "1.5")
    assert (before.elector.power, after.elector.power) == (3.0, 1.5)
    assert after.trackers == before.trackers
    assert with_change(before, "elector.mode", "fixed").elector.mode == "fixed"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("elector.power", "99", "set: elector.power = 99: must be less than or equal to 10"),
        ("elector.pwr", "1", "set: elector.pwr: is not a key; did you mean power?"),
        ("electro.power", "1", "set: electro: is not a key; did you mean elector?"),
        ("dry_run.x", "1", "set: dry_run: is not a key"),
        ("rate_MBps", "1\nb=2", "set: "),
        ("", "1", "set: : is not a key"),
    ],
)
def test_a_refused_change_is_one_line(key: str, value: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_change(Daemon(), key, value)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


VALUES = st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_whatever_is_given_it_is_a_model_or_one_line(values: dict[str, object]) -> None:
    try:
        validate(values, Daemon, source="here")
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


@settings(max_examples=60)
@given(st.text())
def test_any_text_is_a_value_or_refused(text: str) -> None:
    try:
        parse_value(text)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
