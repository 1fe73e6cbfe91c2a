"""Config files: one TOML file, one frozen model, one line when something is wrong.

A daemon describes its config as nested `Settings` classes. `load` reads a file
into one; `with_change` makes the changed copy that `tiermem … set KEY VALUE`
asks for. Whatever is wrong becomes a ConfigError (exit 2) of one line that
names the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from tiermem.errors import ConfigError
from tiermem.service.size import size_bytes

_VALUE_CHARS_MAX = 60


class Settings(BaseModel):
    """Base of every config model: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


SettingsT = TypeVar("SettingsT", bound=Settings)

Size = Annotated[int, BeforeValidator(size_bytes)]
"""A setting: `512M` in the file, bytes in the model."""


def load(path: Path, model: type[SettingsT]) -> SettingsT:
    """The file at `path` as a `model`; ConfigError names what is wrong and where."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    return validate(values, model, source=str(path))


def validate(values: Mapping[str, Any], model: type[SettingsT], source: str) -> SettingsT:
    """`values` as a `model`; `source` is what errors call the place they came from."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        line = f"{source}: {_explain(details[0], model)}"
        if len(details) > 1:
            line += f" (and {len(details) - 1} more)"
        raise ConfigError(line) from error


def with_change(settings: SettingsT, key: str, value: str) -> SettingsT:
    """A copy of `settings` with the dotted `key` set to `value`, validated as a whole.

    `value` is written as in the TOML file; a bare word is taken as a string.
    """
    parsed = parse_value(value)
    values = settings.model_dump(mode="json", exclude_unset=False)
    *tables, name = key.split(".")
    table: Any = values
    for depth, part in enumerate(tables):
        if not isinstance(table, dict) or not isinstance(table.get(part), dict):
            where = _printable(".".join(tables[: depth + 1]))
            raise ConfigError(f"set: {where}: {_unknown_key(tables[: depth + 1], type(settings))}")
        table = table[part]
    table[name] = parsed
    return validate(values, type(settings), source="set")


def parse_value(text: str) -> Any:
    """`text` as a TOML value, or as the string it is where it is not one."""
    if "\n" in text or "\r" in text:
        raise ConfigError(f"set: {_shown(text)}: a value is one line")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location = _location(detail)
    key = _printable(".".join(str(part) for part in location)) if location else "(whole file)"
    if detail["type"] == "extra_forbidden":
        return f"{key}: {_unknown_key(location, model)}"
    if detail["type"] == "missing":
        return f"{key}: is missing and has no default"
    return f"{key} = {_shown(detail['input'])}: {_allowed(detail)}"


def _location(detail: ErrorDetails) -> list[int | str]:
    """Where the mistake is, without pydantic's tags. An unknown key is never a tag."""
    parts = detail["loc"]
    is_own_last = detail["type"] == "extra_forbidden"
    return [
        part
        for place, part in enumerate(parts, start=1)
        if not _is_tag(part) or (is_own_last and place == len(parts))
    ]


def _is_tag(part: int | str) -> bool:
    """Whether pydantic put this into the location to say which branch of a union failed."""
    return isinstance(part, str) and (part.startswith("function-") or "[" in part)


def _allowed(detail: ErrorDetails) -> str:
    """Pydantic's own sentence, in the words of a config file."""
    if detail["type"] == "path_type":
        return "must be a path, written as a string"
    sentence = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    sentence = sentence.replace("Input should be", "must be", 1)
    sentence = sentence.replace("a valid dictionary or instance of", "a table for", 1)
    return sentence.split("\n", 1)[0]


def _unknown_key(location: Sequence[int | str], model: type[BaseModel]) -> str:
    known = _keys_at(location[:-1], model)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"is not a key; did you mean {close[0]}?"
    if known:
        return f"is not a key; allowed here: {', '.join(sorted(known))}"
    return "is not a key; nothing is allowed here"


def _keys_at(location: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """The keys of the table that `location` leads to, below `model`."""
    candidates = [model]
    is_table_name = False
    for part in location:
        if isinstance(part, int):
            continue
        if is_table_name:
            is_table_name = False
            continue
        fields = [
            field
            for outer in candidates
            for name, field in outer.model_fields.items()
            if part in (name, field.alias)
        ]
        below = [inner for field in fields for inner in _models_in(field.annotation)]
        # [functions.NAME]: the name of a table of tables is the user's own.
        is_table_name = any(typing.get_origin(field.annotation) is dict for field in fields)
        candidates = below or [inner for inner in candidates if inner.__name__ == part]
    return [
        field.alias or name
        for candidate in candidates
        for name, field in candidate.model_fields.items()
    ]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models inside a field's type, through Optional, unions, lists and dicts."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for inner in typing.get_args(annotation) for model in _models_in(inner)]


def _shown(value: Any) -> str:
    return _printable(json.dumps(value, default=str, ensure_ascii=False))


def _printable(text: str) -> str:
    """`text` cut to a readable length, without characters that would break the line."""
    if len(text) > _VALUE_CHARS_MAX:
        text = text[: _VALUE_CHARS_MAX - 1] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
