"""Where the user's cache is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError
from tiermem.service.user_cache import user_cache


def test_it_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert user_cache() == Path("/elsewhere/tiermem")


@pytest.mark.parametrize("said", [None, ""])
def test_else_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/one")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", said)
    assert user_cache() == Path("/home/one/.cache/tiermem")


def test_a_user_without_either_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(MissingError, match="set XDG_CACHE_HOME"):
        user_cache()
