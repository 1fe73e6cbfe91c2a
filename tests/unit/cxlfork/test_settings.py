"""The sample configs of cxlforkd and the porter: every key, with its default."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tiermem.cxlfork.porter.functions import FunctionSettings, PorterSettings
from tiermem.cxlfork.settings import ForkSettings
from tiermem.errors import ConfigError
from tiermem.service.config import Settings, load, validate

SAMPLES = Path(__file__).parents[3] / "userspace/etc"


@pytest.mark.parametrize(
    ("file", "model"), [("fork.toml", ForkSettings), ("porter.toml", PorterSettings)]
)
def test_the_sample_shows_every_key_with_its_default(file: str, model: type[Settings]) -> None:
    path = SAMPLES / file
    shown = tomllib.loads(path.read_text())
    assert load(path, model) == model()
    assert set(shown) == set(model.model_fields) - {"functions"}
    for key, value in shown.items():
        if isinstance(value, dict):
            assert set(value) == set(getattr(model(), key).model_dump())


def test_the_sample_shows_how_a_function_is_named() -> None:
    lines = (SAMPLES / "porter.toml").read_text().splitlines()
    table = "\n".join(line.removeprefix("# ") for line in lines[-5:])
    resize = validate(tomllib.loads(table), PorterSettings, "porter.toml").functions["resize"]
    assert resize == FunctionSettings(file=Path("/srv/functions/resize.py"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[functions."a b"]\nfile = "x"', "a function's name is 1 to 63 letters"),
        ("[functions.f]\nfile = 'x'\nfiel = 'x'", r"did you mean file\?"),
        ("memory_MiB = 1", "greater than or equal to 16"),
        ("policy = 'mow'", "is not a key"),
    ],
)
def test_a_wrong_porter_config_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "porter.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{path}: .*{said}"):
        load(path, PorterSettings)
