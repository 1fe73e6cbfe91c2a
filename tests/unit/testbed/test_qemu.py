"""Which QEMU is used: the host's if it is the version that was tried, else one of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.testbed import qemu
from tiermem.testbed.progress import Progress


def program(path: Path, version: str) -> Path:
    """Something that says it is this version of QEMU, whatever its arguments are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho QEMU emulator version {version}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("hosts", "used"),
    [
        (None, (11, 1)),
        ("7.2.19", (11, 1)),
        ("11.0.2", (11, 0)),
        ("11.4.0", (11, 4)),
        ("12.0.0", (11, 1)),
    ],
    ids=["none", "too old", "11.0", "11.4", "too new"],
)
def test_the_hosts_qemu_is_used_if_it_is_version_11(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: str | None, used: tuple[int, int]
) -> None:
    """A newer one may have another plugin interface, an older one is far too slow."""
    program(tmp_path / "root/usr/lib64/ld-linux-x86-64.so.2", "11.1.0")
    if hosts is not None:
        program(tmp_path / "bin/qemu-system-x86_64", hosts)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(qemu, "qemu_root", lambda _: tmp_path / "root")
    assert qemu.find_qemu(Progress(quiet=True)).version == used
