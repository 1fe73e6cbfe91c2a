"""What the serial log's last words are taken to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.testbed.serial import last_words


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "[   1.0] sysrq: Trigger a crash\n"
            "[   1.1] Kernel panic - not syncing: sysrq triggered crash\n"
            "[   1.2] Call Trace:\n",
            "its kernel stopped: Kernel panic - not syncing: sysrq triggered crash",
        ),
        (
            "[   2.0] BUG: kernel NULL pointer dereference, address: 0000000000000000\n"
            "[   2.1] Oops: Oops: 0002 [#1] SMP\n"
            "[   2.2] Kernel panic - not syncing: Fatal exception\n",
            "its kernel stopped: BUG: kernel NULL pointer dereference, address: 0000000000000000",
        ),
        ("[   0.1] all is well\n", "its QEMU ended without a word from the guest's kernel"),
        ("\xff\x1b[!p garbage", "its QEMU ended without a word from the guest's kernel"),
    ],
)
def test_the_first_complaint_counts(tmp_path: Path, log: str, words: str) -> None:
    file = tmp_path / "serial.log"
    file.write_text(log, encoding="latin-1")
    assert last_words(file) == words


def test_no_log_at_all(tmp_path: Path) -> None:
    assert "without a word" in last_words(tmp_path / "serial.log")
