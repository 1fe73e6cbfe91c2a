"""QEMU's options, as it reads them."""

from __future__ import annotations

import re


def escape(value: object) -> str:
    """A value inside an option, where a comma is doubled."""
    return re.sub(",", ",,", str(value))
