"""Where what can be made again is kept between runs, of whoever runs them."""

from __future__ import annotations

import os
from pathlib import Path

from tiermem.errors import MissingError


def user_cache() -> Path:
    """$XDG_CACHE_HOME/tiermem, or ~/.cache/tiermem (XDG Base Directory Specification), which need
    not be there. MissingError where there is neither."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "tiermem"
    try:
        return Path.home() / ".cache" / "tiermem"
    except RuntimeError:
        raise MissingError("this user has no home folder for a cache: set XDG_CACHE_HOME") from None
