"""A database that numbers are committed to, one after the other, and what must be there.

usage: commits.py FILE JOURNAL_MODE
Prints each number once sqlite has said that it is committed.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import sys
from pathlib import Path


def content(number: int) -> bytes:
    """What is stored with it."""
    rng = random.Random(number)
    return rng.randbytes(rng.randrange(100, 6000))


def commit_for_ever(file: Path, journal_mode: str) -> None:
    """Durably: sqlite waits for each commit to be on the disk."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute(f"PRAGMA journal_mode={journal_mode}")
    # FULL does not wait for the journal's removal, and may lose the last commit.
    database.execute("PRAGMA synchronous=EXTRA")
    database.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, content BLOB)")
    for number in itertools.count():
        database.execute("INSERT INTO numbers VALUES (?, ?)", (number, content(number)))
        print(number, flush=True)


def check(file: Path, acknowledged: int) -> None:
    """AssertionError unless it has all numbers up to that one, whole, and maybe the next."""
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = database.execute("SELECT number, content FROM numbers ORDER BY number").fetchall()
    assert acknowledged < len(rows) <= acknowledged + 2, f"{len(rows)} rows, {acknowledged} said"
    assert rows == [(number, content(number)) for number in range(len(rows))]
    database.close()


if __name__ == "__main__":
    commit_for_ever(Path(sys.argv[1]), sys.argv[2])
