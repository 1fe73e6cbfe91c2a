"""What a guest's serial log says about its end."""

from __future__ import annotations

import re
from pathlib import Path

_MARKS = re.compile(
    r"(Kernel panic - not syncing: .*|Oops: .*|BUG: .*|kernel BUG at .*|"
    r"general protection fault.*|Unable to mount root.*)"
)


def last_words(log: Path) -> str:
    """One line: the kernel's first complaint, or that QEMU just ended."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        text = ""
    found = _MARKS.search(text)
    if found is None:
        return "its QEMU ended without a word from the guest's kernel"
    return f"its kernel stopped: {found[1].strip()}"
