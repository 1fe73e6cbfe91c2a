"""Recording of rounds for judging a policy: one JSON object a line, when `record` is set.

    {"now_ns": …, "nominated": [pfn, …], "promoted": [pfn, …], "reason": "…"}

`nominated` are the pages that the nominator passed, whatever elector and rate
limit made of them; `promoted` those that were moved, or would have been.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import numpy as np

from tiermem.errors import ConfigError
from tiermem.m5.observation import Verdict
from tiermem.m5.rounds import Round

_NOT_NOMINATED = [Verdict.ONE_OFF, Verdict.SPARSE, Verdict.BACKED_OFF]


class Recorder:
    """Appends to the file at `path`; ConfigError when that cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: TextIO = path.open("a")
        except OSError as error:
            raise ConfigError(f"record = {str(path)!r}: {error.strerror}") from error

    def write(self, one: Round) -> None:
        """One line; it is on its way to the file when this returns."""
        verdicts = one.decision.verdicts
        line = {
            "now_ns": one.now_ns,
            "nominated": one.pages[~np.isin(verdicts, _NOT_NOMINATED)].tolist(),
            "promoted": one.decision.promote.tolist(),
            "reason": one.decision.reason,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
