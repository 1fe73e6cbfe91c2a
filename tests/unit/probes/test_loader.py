"""What the loader says where a probe cannot be loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.probes import Probe, loader


def test_a_wrong_name_is_told_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="allowed is one of migration, hint-faults"):
        Probe("migrations")


def test_without_root_there_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="probe migration needs root"):
        Probe("migration")


def test_without_headers_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(loader, "KERNEL_HEADERS_ARCHIVE", Path("/nonexistent"))
    monkeypatch.setattr(loader.platform, "release", lambda: "9.9-none")
    with pytest.raises(MissingError, match=r"install the package linux-headers-9\.9-none"):
        Probe("migration")


def test_without_bcc_the_package_is_named_and_the_search_path_is_as_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loader, "DISTRIBUTION_PACKAGES", tmp_path)
    monkeypatch.setitem(sys.modules, "bcc", None)
    before = list(sys.path)
    with pytest.raises(MissingError, match="python3-bpfcc"):
        loader.import_bcc()
    assert sys.path == before


def test_bcc_is_found_where_the_distribution_puts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bcc.py").write_text("FOUND = 'here'\n")
    monkeypatch.setattr(loader, "DISTRIBUTION_PACKAGES", tmp_path)
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    assert loader.import_bcc().FOUND == "here"
    monkeypatch.delitem(sys.modules, "bcc")


def test_sources_are_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIERMEM_EBPF_PATH", str(tmp_path))
    with pytest.raises(MissingError, match=str(tmp_path)):
        loader.find_sources()
    (tmp_path / "latency.h").touch()
    assert loader.find_sources() == tmp_path


def test_what_a_compiler_writes_is_caught_whole() -> None:
    with loader.captured_stderr() as complaints:
        os.write(2, b"main.c:1: error: no\n")
    assert complaints() == "main.c:1: error: no\n"


def test_the_compilers_errors_are_told_from_its_warnings() -> None:
    output = "main.c:1: warning: odd\n   1 | x\nmain.c:2:3: error: no member named 'f'\n 1 error\n"
    assert loader.reason_of(output) == "main.c:2:3: error: no member named 'f'"


def test_the_verifier_gives_its_reason_after_the_trace() -> None:
    output = (
        "bpf: Failed to load program: Invalid argument\n0: (bf) r7 = r1  ; R1=ctx()\n"
        "; key.mode = 1;\n27: (0f) r0 += r1\nmath is not allowed\nprocessed 27 insns (limit 9)\n"
    )
    assert loader.reason_of(output) == (
        "bpf: Failed to load program: Invalid argument; math is not allowed"
    )
