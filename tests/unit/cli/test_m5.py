"""`tiermem m5`: whom it asks, and what it says of a config that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tiermem.cli import m5
from tiermem.cli.main import build_app, load_verb
from tiermem.errors import ConfigError
from tiermem.m5 import serve, try_once
from tiermem.m5.settable import SETTABLE
from tiermem.m5.settings import M5Settings
from typer.testing import CliRunner


class Asked:
    """Stands in for the client: remembers which socket was asked."""

    sockets: list[Path] = []  # noqa: RUF012 (one list for all of a test's clients)

    def __init__(self, path: Path, timeout_s: float = 0) -> None:
        self.sockets.append(path)

    def get(self, route: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return {}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "m5.toml"
    monkeypatch.setattr(m5, "CONFIG", path)
    monkeypatch.setattr(m5, "LocalClient", Asked)
    Asked.sockets.clear()
    return path


def ask(*arguments: str) -> Path:
    """The socket that `m5 status` asks."""
    result = CliRunner().invoke(m5.app, ["status", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return Asked.sockets[-1]


def error_of(*arguments: str) -> str:
    """What `m5 run` ends with."""
    result = CliRunner().invoke(m5.app, ["run", "--once", *arguments])
    assert isinstance(result.exception, ConfigError), result.exception
    return str(result.exception)


def test_the_socket_is_the_one_given_else_the_config_s_else_the_default(config: Path) -> None:
    assert ask() == m5.SOCKET
    config.write_text('socket = "/run/other/m5.sock"\n')
    assert ask() == Path("/run/other/m5.sock")
    assert ask("--socket", "/tmp/given.sock") == Path("/tmp/given.sock")


@pytest.mark.parametrize("text", ["a = = 1", "[tracker]\nkind = 'magic'", "socket = 3"])
def test_a_config_that_is_being_edited_is_no_reason_not_to_ask(config: Path, text: str) -> None:
    config.write_text(text)
    assert ask() == m5.SOCKET


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tracker]\nkind = 'magic'", 'tracker.kind = "magic": must be one of damon, device, pac'),
        ("[policy]\nname = 'foo'", 'policy.name = "foo": must be density'),
    ],
)
def test_a_name_that_is_unknown_is_refused_before_the_host_is_looked_at(
    config: Path, text: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_once, "try_once", lambda _settings: pytest.fail("looked at the host"))
    config.write_text(text)
    assert error_of().startswith(f"{config}: {line}")


def test_what_proves_wrong_on_this_host_names_the_file_or_the_option(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def try_it(settings: M5Settings) -> dict[str, Any]:
        raise ConfigError(f"record = {str(settings.record)!r}: Permission denied")

    monkeypatch.setattr(try_once, "try_once", try_it)
    config.write_text('record = "/a"')
    assert error_of() == f"{config}: record = '/a': Permission denied"
    assert error_of("--set", "record=/b") == "set: record = '/b': Permission denied"


def test_set_lists_what_can_be_set() -> None:
    [key, _value] = [
        parameter
        for parameter in load_verb("m5").commands["set"].params
        if parameter.param_type_name == "argument"
    ]
    assert all(allowed in key.help for allowed in SETTABLE)


@pytest.mark.parametrize("command", ["run", "top", "explain", "set"])
def test_help_shows_how_it_is_used(command: str) -> None:
    assert f"tiermem m5 {command} " in load_verb("m5").commands[command].help


def test_help_of_the_other_verbs_too() -> None:
    assert "tiermem replay --" in load_verb("replay").help
    shown = CliRunner().invoke(build_app(), ["--help"]).output
    assert "tiermem doctor" in shown


def test_status_as_json_is_the_daemon_s_answer(config: Path) -> None:
    shown = CliRunner().invoke(m5.app, ["status", "--json"]).output
    assert json.loads(shown) == {}


def test_a_config_read_again_leaves_what_the_command_line_said(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon started with --dry-run must not begin to move pages at a SIGHUP."""
    readers: list[Callable[[], M5Settings]] = []
    monkeypatch.setattr(serve, "serve", readers.append)
    limit = "promoter.rate_limit_MBps"
    config.write_text("")
    started = CliRunner().invoke(m5.app, ["run", "--dry-run", "--set", f"{limit}=50"])
    assert started.exit_code == 0, started.output
    config.write_text('log_level = "debug"\n[promoter]\nrate_limit_MBps = 900\n')
    again = readers[0]()
    assert again.dry_run
    assert again.promoter.rate_limit_MBps == 50
    assert again.log_level == "debug"
