"""Lengths of turns and answers, and pauses between turns, from public traces of LLM services.

- Azure LLM inference 2023, conversations (CSV; Splitwise, ISCA 2024): tokens of answers. Its
  `ContextTokens` are of whole contexts, the history included, so they are used for what a
  session begins with alone.
- Mooncake's conversations (JSON lines; FAST 2025): which request goes on from which, by the
  hashes of its blocks; so what a turn adds to the history, and how long after the turn before.

Without a path, lognormal lengths near the medians of these traces are drawn.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tiermem.errors import ConfigError

DRAWN = "drawn"


@dataclass(frozen=True)
class Source:
    """Samples, in tokens and seconds of the services, before they are scaled.

    first: contexts that sessions begin with; added: by users, in later turns; answers;
    pauses_s: from a turn to the next one of its session.
    """

    name: str
    first: np.ndarray
    added: np.ndarray
    answers: np.ndarray
    pauses_s: np.ndarray


def load_source(azure: Path | None, mooncake: Path | None, seed: int = 1) -> Source:
    """From the traces that are there, drawn where one is not. ConfigError names file and line."""
    random = np.random.default_rng(seed)
    first, answers = _drawn(random, 1000, 0.6), _drawn(random, 130, 0.9)
    added, pauses_s = _drawn(random, 60, 1.5), _drawn(random, 120, 1.0)
    if azure is not None:
        first, answers = _read_azure(azure)
    if mooncake is not None:
        added, pauses_s = _read_mooncake(mooncake)
    names = [path.name for path in (azure, mooncake) if path is not None]
    if len(names) < 2:
        names.append(DRAWN)
    return Source(", ".join(names), first, added, answers, pauses_s)


def _drawn(random: np.random.Generator, median: float, spread: float) -> np.ndarray:
    return random.lognormal(np.log(median), spread, 5000).clip(1)


def _read_azure(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open(newline="") as lines:
        rows = csv.DictReader(lines)
        wanted = ("ContextTokens", "GeneratedTokens")
        if not set(wanted) <= set(rows.fieldnames or ()):
            raise ConfigError(f"{path}: has columns {rows.fieldnames}: {wanted} are needed")
        found = [[_count(path, rows.line_num, row[name]) for name in wanted] for row in rows]
    if not found:
        raise ConfigError(f"{path}: there is no request in it")
    lengths = np.asarray(found, float)
    return lengths[:, 0], lengths[:, 1]


def _count(path: Path, line: int, text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise ConfigError(f"{path}:{line}: {text!r}: a number of tokens is needed") from None


def _read_mooncake(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A request belongs to the session that last had the longest prefix of its blocks. The first
    block, which most requests share, says nothing."""
    last_of_block: dict[int, tuple[float, int]] = {}
    added, pauses_s = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        at_s, input_tokens, output_tokens, blocks = _mooncake_request(path, number, line)
        before = next(
            (last_of_block[one] for one in reversed(blocks[1:]) if one in last_of_block), None
        )
        if before is not None:
            then_s, tokens = before
            # Less than the history: it was cut or edited, and is no turn that goes on.
            if input_tokens > tokens and at_s > then_s:
                added.append(input_tokens - tokens)
                pauses_s.append(at_s - then_s)
        last_of_block.update((one, (at_s, input_tokens + output_tokens)) for one in blocks[1:])
    if not added:
        raise ConfigError(f"{path}: no request in it goes on from another one")
    return np.asarray(added, float), np.asarray(pauses_s, float)


def _mooncake_request(path: Path, number: int, line: str) -> tuple[float, int, int, list[int]]:
    try:
        row = json.loads(line)
        return (
            float(row["timestamp"]) / 1000,
            int(row["input_length"]),
            int(row["output_length"]),
            [int(one) for one in row["hash_ids"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}:{number}: {error!r}: timestamp, input_length, output_length and hash_ids "
            "are needed"
        ) from None
