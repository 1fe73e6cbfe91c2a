"""What the verbs of all daemons share: where the config is, what --set changes, which socket,
where the log goes."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tiermem.errors import ConfigError

if TYPE_CHECKING:
    from tiermem.service.config import Settings

SettingsT = TypeVar("SettingsT", bound="Settings")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file; without it /etc/tiermem/DAEMON.toml where it is there, else the defaults.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the config, e.g. log_level=debug. Repeatable.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def socket_option(config: Path, default: Path) -> Any:
    """--socket of the verbs of a daemon, for `find_socket`."""
    return typer.Option(
        help=f"The daemon's socket; without it that of {config}, else {default}.",
        show_default=False,
    )


def find_config(given: Path | None, usual: Path) -> Path | None:
    """The file that was named, else the usual one where it is there; None: the defaults."""
    return given or (usual if usual.exists() else None)


def log_to_stderr(level: str) -> None:
    """What the daemon logs from that level on, as the journal takes it."""
    logging.basicConfig(format="%(levelname)s %(message)s")
    logging.getLogger("tiermem").setLevel(level.upper())


def settings_of(path: Path | None, changes: list[str], model: type[SettingsT]) -> SettingsT:
    """The settings of the file, or the defaults, changed by each KEY=VALUE. ConfigError."""
    # Only who runs a daemon waits for pydantic.
    from tiermem.service.config import load, with_change

    settings = load(path, model) if path else model()
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change}: must be KEY=VALUE")
        settings = with_change(settings, key, value)
    return settings


def find_socket(given: Path | None, config: Path, default: Path) -> Path:
    """Where the daemon listens. Of the config only this key counts, whatever else it says."""
    if given is not None:
        return given
    try:
        named = tomllib.loads(config.read_text()).get("socket")
    except (OSError, ValueError):
        named = None  # not there, not for us to read, or not TOML: no reason not to ask
    return Path(named) if isinstance(named, str) else default
